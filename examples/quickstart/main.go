// Command quickstart queues work, and works it: see README.md beside it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cli"
	"github.com/spoolq/spool/connect"
)

// SendWelcome mails a new user.
type SendWelcome struct {
	Email string `json:"email"`
}

// SendReminder mails a user who has not come back.
type SendReminder SendWelcome

func sendWelcome(ctx context.Context, job SendWelcome) error {
	if !strings.Contains(job.Email, "@") {
		return spool.Fail(errors.New("not an address: " + job.Email)) // trying again won't help
	}
	fmt.Println("Welcome,", job.Email)
	return nil
}

func sendReminder(ctx context.Context, job SendReminder) error {
	fmt.Println("We miss you,", job.Email, "- attempt", spool.JobFrom(ctx).Attempt)
	return nil
}

func handlers() *spool.Mux {
	mux := spool.NewMux()
	spool.Handle(mux, sendWelcome, spool.Tries(3), spool.Backoff(time.Second, 5*time.Second))
	spool.Handle(mux, sendReminder, spool.Timeout(30*time.Second))
	return mux
}

func main() {
	if len(os.Args) != 3 || os.Args[1] != "signup" {
		cli.Main(handlers())
	}
	set, err := connect.Load(&connect.Options{Mux: handlers()}) // the settings of the commands
	if err != nil {
		log.Fatal(err)
	}
	if _, err = spool.Dispatch(context.Background(), set.Client, SendWelcome{os.Args[2]}); err == nil {
		_, err = spool.Dispatch(context.Background(), set.Client, SendReminder{os.Args[2]}, spool.OnQueue("later"), spool.Delay(2*time.Second))
	}
	if err := errors.Join(set.Explain(err), set.Close()); err != nil {
		log.Fatal(err)
	}
}
