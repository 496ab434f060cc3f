package spool_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

type SendReminderEmail struct {
	UserID int64  `json:"user_id"`
	Lang   string `json:"lang,omitempty"`
}

// Push a job, handle it, work it.
func Example() {
	ctx := context.Background()
	client := spool.Connect(memqueue.New(nil))

	mux := spool.NewMux()
	spool.Handle(mux, func(ctx context.Context, job SendReminderEmail) error {
		fmt.Println("reminding user", job.UserID, "at attempt", spool.JobFrom(ctx).Attempt)
		return nil
	}, spool.Tries(3), spool.Timeout(2*time.Minute), spool.Backoff(time.Second, 5*time.Second))

	if _, err := spool.Dispatch(ctx, client, SendReminderEmail{UserID: 1}, spool.OnQueue("emails")); err != nil {
		fmt.Println(err)
	}

	conn, err := client.Manager().Connection(ctx, "default")
	if err != nil {
		fmt.Println(err)
		return
	}
	opts := &worker.Options{Queues: []string{"high", "emails"}, StopWhenEmpty: true}
	result, err := worker.New(conn, mux, opts).Run(ctx)
	fmt.Println(result.Processed, "processed,", result.Reason, err)
	// Output:
	// reminding user 1 at attempt 1
	// 1 processed, empty <nil>
}

// A dispatch says where, when and how.
func ExampleDispatch() {
	ctx := context.Background()
	client := spool.Connect(memqueue.New(nil))

	ref, err := spool.Dispatch(ctx, client, SendReminderEmail{UserID: 1, Lang: "zh"},
		spool.OnQueue("emails"),
		spool.Delay(10*time.Minute),
		spool.Tries(5),
		spool.RetryUntil(time.Now().Add(24*time.Hour)))
	fmt.Println(ref.Connection, ref.Queue, len(ref.UUID), err)
	// Output: default emails 36 <nil>
}

// Many jobs go out in few round trips.
func ExampleDispatchAll() {
	ctx := context.Background()
	client := spool.Connect(memqueue.New(nil))

	jobs := make([]SendReminderEmail, 1000)
	refs, err := spool.DispatchAll(ctx, client, jobs, spool.OnQueue("emails"))
	fmt.Println(len(refs), err)
	// Output: 1000 <nil>
}

// A PHP class is pushed by its name; its data is plain JSON.
func ExamplePush() {
	ctx := context.Background()
	client := spool.Connect(memqueue.New(nil))

	_, err := spool.Push(ctx, client, `App\Jobs\Reminder@send`, map[string]any{"user_id": 1})
	fmt.Println(err)
	// Output: <nil>
}

// What a handler returns decides what becomes of its job.
func ExampleHandle() {
	type Charge struct{ Order int }

	mux := spool.NewMux()
	spool.Handle(mux, func(ctx context.Context, job Charge) error {
		switch err := charge(ctx, job.Order); {
		case errors.Is(err, errBusy):
			return spool.Release(30 * time.Second) // not now; no exception
		case errors.Is(err, errRefused):
			return spool.Fail(err) // never; whatever attempts are left
		default:
			return err // nil: done; else retried by the policy
		}
	}, spool.Tries(5), spool.Alias(`App\Jobs\Charge`),
		spool.OnFailed(func(ctx context.Context, job Charge, err error) error {
			return notify(ctx, job.Order, err)
		}))
	fmt.Println(mux.Names())
	// Output: [App\Jobs\Charge Charge]
}

var errBusy, errRefused = errors.New("busy"), errors.New("refused")

func charge(context.Context, int) error        { return nil }
func notify(context.Context, int, error) error { return nil }

// Events tell everybody else.
func ExampleListen() {
	ctx := context.Background()
	client := spool.Connect(memqueue.New(nil))

	spool.Listen(client.Manager().Events(), func(_ context.Context, e spool.JobQueued) {
		fmt.Println("queued", e.Name, "on", e.Queue)
	})
	_, _ = spool.Dispatch(ctx, client, SendReminderEmail{UserID: 1})
	// Output: queued SendReminderEmail on default
}
