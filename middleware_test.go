package spool_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

var errNoRows, errBusyDB = errors.New("no rows"), errors.New("busy")

// What the middleware of this package make of a job, attempt by attempt.
func TestMiddleware(t *testing.T) {
	yes := func(context.Context, *spool.Job) bool { return true }
	first := func(_ context.Context, job *spool.Job) bool { return job.Attempt == 1 }
	for name, tt := range map[string]struct {
		mw   spool.Middleware
		err  error
		want string
	}{
		"skipped":                 {spool.Skip(yes), errBusyDB, "done"},
		"not skipped":             {spool.Skip(func(context.Context, *spool.Job) bool { return false }), nil, "ran at 1, done"},
		"released, then run":      {spool.ReleaseIf(first, time.Minute), nil, "released for 1m0s, ran at 2, done"},
		"released till none left": {spool.ReleaseIf(yes, time.Minute), nil, "released for 1m0s, released for 1m0s, released for 1m0s, failed"},
		"an error that matches":   {spool.FailOnError(spool.IsAny(errNoRows, errBusyDB)), fmt.Errorf("query: %w", errNoRows), "ran at 1, failed"},
		"one that doesn't":        {spool.FailOnError(spool.IsAny(errNoRows)), errBusyDB, "ran at 1, released for 0s, ran at 2, released for 0s, ran at 3, failed"},
		"a decision is no error":  {spool.FailOnError(func(error) bool { return true }), spool.Release(time.Second), "ran at 1, released for 1s, ran at 2, released for 1s, ran at 3, released for 1s, failed"},
		"none at all":             {spool.FailOnError(func(error) bool { return true }), nil, "ran at 1, done"},
		"one's own, turning away": {func(next spool.HandlerFunc) spool.HandlerFunc {
			turned := 0
			return func(ctx context.Context, job *spool.Job) error {
				if turned++; turned <= 5 {
					return spool.GiveBack(time.Minute, nil)
				}
				return next(ctx, job)
			}
		}, nil, "given back for 1m0s, given back for 1m0s, given back for 1m0s, given back for 1m0s, given back for 1m0s, ran at 1, done"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if got := life(t, tt.mw, tt.err); got != tt.want {
					t.Error(cmp.Diff(tt.want, got))
				}
			})
		})
	}
}

// life runs a job with three tries to its end and tells what happened.
func life(t *testing.T, mw spool.Middleware, end error) string {
	t.Helper()
	c := spool.Connect(memqueue.New(nil))
	defer func() { _ = c.Manager().Close() }()
	var told string
	say := func(format string, args ...any) {
		if told != "" {
			told += ", "
		}
		told += fmt.Sprintf(format, args...)
	}
	events := c.Manager().Events()
	spool.Listen(events, func(_ context.Context, e spool.JobReleased) {
		what := "released"
		if e.Returned {
			what = "given back"
		}
		say("%s for %v", what, e.Delay)
	})
	spool.Listen(events, func(context.Context, spool.JobFailed) { say("failed") })
	spool.Listen(events, func(_ context.Context, e spool.JobProcessed) {
		if e.Result == "deleted" {
			say("done")
		}
	})
	mux := spool.NewMux()
	mux.HandleFunc("x", func(_ context.Context, job *spool.Job) error {
		say("ran at %d", job.Attempt)
		return end
	}, spool.Tries(3), spool.Through(mw))
	if _, err := spool.Push(t.Context(), c, "x", nil); err != nil {
		t.Fatal(err)
	}
	conn, err := c.Manager().Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for pending(t, c, "default") > 0 {
		if _, err := worker.New(conn, mux, &worker.Options{StopWhenEmpty: true}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
	}
	return told
}

// A listener that decides the end of a job keeps it from running.
func TestListenerOfProcessingDecides(t *testing.T) {
	c := spool.Connect(memqueue.New(nil))
	spool.Listen(c.Manager().Events(), func(_ context.Context, e spool.JobProcessing) { e.Job.Delete() })
	mux := spool.NewMux()
	mux.HandleFunc("x", func(context.Context, *spool.Job) error { t.Error("it ran"); return nil })
	if _, err := spool.Push(t.Context(), c, "x", nil); err != nil {
		t.Fatal(err)
	}
	if res := drain(t, c, mux); res.Processed != 1 || pending(t, c, "default") != 0 {
		t.Errorf("%+v", res)
	}
}

// What runs in its caller can't come back: the caller is told.
func TestGiveBackInline(t *testing.T) {
	mux := spool.NewMux()
	why := errors.New("not today")
	mux.HandleFunc("x", func(context.Context, *spool.Job) error { return spool.GiveBack(time.Minute, why) })
	run := worker.Inline("sync", mux, nil, nil, nil)
	body, err := spool.Native.Encode(&spool.Draft{UUID: spool.NewUUID(), Name: "x"})
	if err == nil {
		err = run(t.Context(), "default", body)
	}
	if !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}
