// Command thinkphp is a worker beside an application of ThinkPHP: see
// docs/thinkphp.md.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cli"
)

// SendMail is a job of the PHP application, by its short name.
type SendMail struct {
	To string `json:"to"`
}

func sendMail(ctx context.Context, job SendMail) error {
	fmt.Println("Mail to", job.To, "- attempt", spool.JobFrom(ctx).Attempts())
	return nil
}

func daily(_ context.Context, job *spool.Job) error {
	fmt.Println("Report of", string(job.Payload.Data))
	return nil
}

func push(ctx context.Context, client *spool.Client) error {
	_, err := spool.Push(ctx, client, `app\job\SendMail`, SendMail{To: "a@b.c"}, spool.Delay(time.Minute))
	return err
}

func main() {
	mux := spool.NewMux()
	spool.Handle(mux, sendMail) // app\job\SendMail
	mux.HandleFunc(`app\job\Report@daily`, daily)
	cli.Main(mux)
}
