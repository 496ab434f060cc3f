//go:build unix

package external_test

import (
	"context"
	"fmt"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/external"
)

func ExampleRoutes() {
	find, err := external.Routes([]external.Route{
		{Patterns: []string{"SendMail"}, Command: []string{"php", "jobs/mail.php"}, Policy: spool.Policy{Tries: new(3)}},
		{Patterns: []string{`App\Jobs\Report*`}, Shell: "gzip >reports/$SPOOL_JOB_UUID.gz"},
		{Patterns: []string{"*"}, URL: "https://jobs.example.com/run"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := spool.NewMux()
	mux.Fallback(find) // for every name that has no handler in Go
	fmt.Println(mux.Lookup("SendMail").Name, *mux.Lookup("SendMail").Policy.Tries)
	// Output: SendMail 3
}

func ExampleShell() {
	handle, err := external.Shell(`echo "spool: release 90"; exit 75`, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = handle(context.Background(), &spool.Job{Name: "Slow", Body: []byte("{}")})
	fmt.Println(spool.OutcomeOf(err).Kind == spool.Released, spool.OutcomeOf(err).Delay == 90*time.Second)
	// Output: true true
}
