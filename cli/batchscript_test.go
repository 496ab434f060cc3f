//go:build unix

package cli

import (
	"context"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/connect"
)

// cmdBatch is batch [-allow] VARIABLE NAME QUEUE JOB...: it dispatches a batch
// of jobs without data, whose end a job "report" waits for on the queue
// "callbacks", and puts its ID into the variable.
func cmdBatch(ts *testscript.TestScript, neg bool, args []string) {
	allow := len(args) > 0 && args[0] == "-allow"
	if allow {
		args = args[1:]
	}
	if neg || len(args) < 3 {
		ts.Fatalf("usage: batch [-allow] VARIABLE NAME QUEUE JOB...")
	}
	with(ts, func(ctx context.Context, s *connect.Set) error {
		b := s.Client.Batch().Name(args[1]).OnQueue(args[2])
		if allow {
			b.AllowFailures()
		}
		for _, job := range args[3:] {
			b.Add(spool.WithName(job, jsonData("{}")))
		}
		report := func(event string) any {
			return spool.WithName("report", jsonData(`{"event":"`+event+`"}`), spool.OnQueue("callbacks"))
		}
		done, err := b.Then(report("then")).Finally(report("finally")).Dispatch(ctx)
		if err == nil {
			ts.Setenv(args[0], done.ID)
		}
		return err
	})
}
