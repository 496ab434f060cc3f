package worker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/worker"
)

// runOne dispatches one job and works until its handler has returned.
func runOne(t *testing.T, handle func(ctx context.Context, job *spool.Job) error) {
	t.Helper()
	client, conn := open(t, nil)
	mux := spool.NewMux()
	mux.HandleFunc("greet", handle, spool.Timeout(time.Second))
	if _, err := spool.Dispatch(t.Context(), client, greet{"Ada"}); err != nil {
		t.Fatal(err)
	}
	if _, err := worker.New(conn, mux, &worker.Options{MaxJobs: 1}).Run(t.Context()); err != nil {
		t.Error(err)
	}
}

// A handler's context is made when it is asked for; whatever is asked first,
// the answers are those of a context that was there all the time.
func TestTheContextOfAHandler(t *testing.T) {
	type key struct{}
	for name, look := range map[string]func(t *testing.T, ctx context.Context){
		"ended, found out by Err": func(t *testing.T, ctx context.Context) {
			for ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
		},
		"ended, waited for": func(_ *testing.T, ctx context.Context) { <-ctx.Done() },
		"ended, child waited for": func(t *testing.T, ctx context.Context) {
			child, cancel := context.WithCancel(context.WithValue(ctx, key{}, 1))
			defer cancel()
			<-child.Done()
			if !errors.Is(context.Cause(child), worker.ErrTimeout) {
				t.Errorf("the child ended for %v", context.Cause(child))
			}
		},
		"ended, function called": func(_ *testing.T, ctx context.Context) {
			called := make(chan struct{})
			context.AfterFunc(ctx, func() { close(called) })
			<-called
		},
		"ended before it was asked for": func(_ *testing.T, _ context.Context) { time.Sleep(2 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runOne(t, func(ctx context.Context, _ *spool.Job) error {
					begun := time.Now()
					if d, ok := ctx.Deadline(); !ok || d.Sub(begun) != time.Second {
						t.Errorf("the deadline is %v from now, %v; want 1s", d.Sub(begun), ok)
					}
					look(t, ctx)
					if !errors.Is(context.Cause(ctx), worker.ErrTimeout) || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
						t.Errorf("ended with %v, cause %v; want a timeout", ctx.Err(), context.Cause(ctx))
					}
					select {
					case <-ctx.Done():
					default:
						t.Error("it is not done")
					}
					return nil
				})
			})
		})
	}
}

func TestTheContextOfAHandlerKnowsItsJob(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		runOne(t, func(ctx context.Context, job *spool.Job) error {
			if spool.JobFrom(ctx) != job {
				t.Error("the context doesn't know the job")
			}
			if spool.JobFrom(context.WithValue(ctx, key{}, 1)) != job {
				t.Error("a context made of it doesn't know the job")
			}
			return nil
		})
	})
}

func TestAContextEndsWithItsHandler(t *testing.T) {
	for _, asked := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var kept context.Context
			runOne(t, func(ctx context.Context, _ *spool.Job) error {
				if kept = ctx; asked {
					ctx.Done()
				}
				if ctx.Err() != nil {
					t.Errorf("it began with %v", ctx.Err())
				}
				return nil
			})
			<-kept.Done()
			if !errors.Is(kept.Err(), context.Canceled) || !errors.Is(context.Cause(kept), context.Canceled) {
				t.Errorf("asked before: %v: ended with %v, cause %v; want that it was cancelled", asked, kept.Err(), context.Cause(kept))
			}
		})
	}
}
