// Command apiclient keeps customers in step with a service that allows few
// calls: see docs/limits.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cli"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/limit"
)

// SyncCustomer asks the service about a customer. While one job of a customer
// waits, another is not needed.
type SyncCustomer struct {
	ID string `json:"id"`
}

// UniqueID implements spool.UniqueJob.
func (s SyncCustomer) UniqueID() string { return s.ID }

var errDown = errors.New("the service is down")

// ask stands for the call: the service is down while there is a file "down".
func ask(_ context.Context, customer string) error {
	if _, err := os.Stat("down"); err == nil {
		return errDown
	}
	fmt.Println("Asking about customer", customer)
	return nil
}

func handlers() *spool.Mux {
	mux := spool.NewMux()
	spool.Handle(mux, func(ctx context.Context, job SyncCustomer) error {
		return ask(ctx, job.ID)
	}, spool.Tries(5), spool.Through(
		// After two calls that failed nobody calls for ten minutes.
		limit.ThrottlesExceptions(2, 10*time.Minute, &limit.ExceptionOptions{
			By: "service", When: spool.IsAny(errDown), Backoff: time.Minute,
		}),
		// Two calls in an hour, from all workers together.
		limit.RateLimited("service", func(*spool.Job) []limit.Limit {
			return []limit.Limit{limit.PerHour(2)}
		}, nil),
	))
	return mux
}

// sync dispatches a job for each customer.
func sync(ctx context.Context, client *spool.Client, customers []string) error {
	for _, id := range customers {
		ref, err := spool.Dispatch(ctx, client, SyncCustomer{ID: id})
		if err != nil {
			return err
		}
		if ref.Skipped {
			fmt.Println("Customer", id, "is waiting already")
		}
	}
	return nil
}

func main() {
	if len(os.Args) < 3 || os.Args[1] != "sync" {
		cli.Main(handlers())
	}
	set, err := connect.Load(&connect.Options{Mux: handlers()})
	if err != nil {
		log.Fatal(err)
	}
	err = sync(context.Background(), set.Client, os.Args[2:])
	if err := errors.Join(set.Explain(err), set.Close()); err != nil {
		log.Fatal(err)
	}
}
