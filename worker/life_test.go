package worker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/worker"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// rig is a worker's world: an in-memory queue, a store of failed jobs, a
// cache, and a record of every event.
type rig struct {
	client *spool.Client
	conn   *spool.Connection
	mux    *spool.Mux
	opts   worker.Options

	mu     sync.Mutex
	events []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{mux: spool.NewMux()}
	r.client, r.conn = open(t, nil)
	r.opts = worker.Options{
		Failed: failed.NewFile(filepath.Join(t.TempDir(), "failed.json"), nil), Signals: cache.NewMemory(), Logger: quiet,
	}
	ev := r.conn.Events()
	note := func(format string, args ...any) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, fmt.Sprintf(format, args...))
	}
	spool.Listen(ev, func(_ context.Context, e spool.JobProcessing) { note("processing %d", e.Job.Attempt) })
	spool.Listen(ev, func(_ context.Context, e spool.JobProcessed) { note("processed %s", e.Result) })
	spool.Listen(ev, func(_ context.Context, e spool.JobExceptionOccurred) { note("exception") })
	spool.Listen(ev, func(_ context.Context, e spool.JobReleased) { note("released %v", e.Delay) })
	spool.Listen(ev, func(_ context.Context, e spool.JobFailed) { note("failed") })
	spool.Listen(ev, func(_ context.Context, e spool.JobTimedOut) { note("timed out") })
	spool.Listen(ev, func(_ context.Context, e spool.JobStuck) { note("stuck") })
	spool.Listen(ev, func(_ context.Context, e spool.JobLost) { note("lost") })
	spool.Listen(ev, func(_ context.Context, e spool.JobUnhandled) { note("unhandled %v", e.Delay) })
	return r
}

func (r *rig) handle(fn spool.HandlerFunc, opts ...spool.HandlerOption) {
	r.mux.HandleFunc("j", fn, opts...)
}

func (r *rig) push(t *testing.T, opts ...spool.DispatchOption) spool.Ref {
	t.Helper()
	ref, err := spool.Push(t.Context(), r.client, "j", nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// work runs a worker for d.
func (r *rig) work(t *testing.T, d time.Duration) worker.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	res, err := worker.New(r.conn, r.mux, &r.opts).Run(ctx)
	if err != nil {
		t.Errorf("worker: %v", err)
	}
	return res
}

// expect compares the events so far and forgets them.
func (r *rig) expect(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.events, want) {
		t.Errorf("events:\n got %q\nwant %q", r.events, want)
	}
	r.events = nil
}

func (r *rig) size(t *testing.T, queue string) driver.Size {
	t.Helper()
	size, err := r.conn.Size(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func (r *rig) records(t *testing.T) []failed.Record {
	t.Helper()
	recs, _, err := r.opts.Failed.List(t.Context(), failed.Filter{}, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

func TestLifeOfAJob(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name   string
		fn     spool.HandlerFunc
		opts   []spool.HandlerOption
		during time.Duration
		events []string
		failed int
	}{
		{"done", func(context.Context, *spool.Job) error { return nil }, nil, time.Minute,
			[]string{"processing 1", "processed deleted"}, 0},
		{"an exception on the only attempt", func(context.Context, *spool.Job) error { return boom }, nil, time.Minute,
			[]string{"processing 1", "exception", "failed"}, 1},
		{"an exception is retried", func(_ context.Context, j *spool.Job) error {
			if j.Attempts() < 2 {
				return boom
			}
			return nil
		}, []spool.HandlerOption{spool.Tries(2), spool.Backoff(time.Minute)}, time.Hour,
			[]string{"processing 1", "exception", "released 1m0s", "processing 2", "processed deleted"}, 0},
		{"released by value, then out of attempts", func(context.Context, *spool.Job) error { return spool.Release(time.Second) }, nil, time.Minute,
			[]string{"processing 1", "processed released", "released 1s", "processing 2", "failed"}, 1},
		{"failed by value", func(context.Context, *spool.Job) error { return spool.Fail(boom) }, []spool.HandlerOption{spool.Tries(9)}, time.Minute,
			[]string{"processing 1", "failed"}, 1},
		{"failed by method", func(_ context.Context, j *spool.Job) error { j.Fail(nil); return nil }, []spool.HandlerOption{spool.Tries(9)}, time.Minute,
			[]string{"processing 1", "failed"}, 1},
		{"deleted by method, then an exception", func(_ context.Context, j *spool.Job) error { j.Delete(); return boom }, []spool.HandlerOption{spool.Tries(9)}, time.Minute,
			[]string{"processing 1", "exception", "processed deleted"}, 0},
		{"a panic is an exception", func(context.Context, *spool.Job) error { panic("no") }, nil, time.Minute,
			[]string{"processing 1", "exception", "failed"}, 1},
		{"a timeout fails the last attempt", func(ctx context.Context, _ *spool.Job) error { <-ctx.Done(); return ctx.Err() },
			[]spool.HandlerOption{spool.Timeout(2 * time.Second)}, time.Minute,
			[]string{"processing 1", "timed out", "exception", "failed"}, 1},
		{"maxExceptions counts exceptions, not releases", func(_ context.Context, j *spool.Job) error {
			if j.Attempts()%2 == 0 {
				return spool.Release(0)
			}
			return boom
		}, []spool.HandlerOption{spool.Tries(0), spool.MaxExceptions(2)}, time.Minute,
			[]string{"processing 1", "exception", "released 0s", "processing 2", "processed released", "released 0s", "processing 3", "exception", "failed"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.opts.Concurrency = 1 // another slot may begin before this one has told of its end
				r.handle(tt.fn, tt.opts...)
				ref := r.push(t)
				res := r.work(t, tt.during)
				r.expect(t, tt.events...)
				recs := r.records(t)
				if len(recs) != tt.failed || res.Failed != int64(tt.failed) {
					t.Errorf("%d records, %d failed; want %d", len(recs), res.Failed, tt.failed)
				}
				if tt.failed > 0 && (recs[0].UUID != ref.UUID || recs[0].Queue != "default" || !strings.Contains(string(recs[0].Payload), ref.UUID)) {
					t.Errorf("recorded %+v", recs[0])
				}
				if n := r.size(t, "").Total(); n != 0 {
					t.Errorf("%d jobs left", n)
				}
			})
		})
	}
}

func TestTheFailedCallbackComesAfterTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		called := 0
		r.handle(func(context.Context, *spool.Job) error { return errors.New("boom") },
			spool.OnFailed(func(ctx context.Context, _ any, err error) error {
				called++
				if len(r.records(t)) != 1 || err.Error() != "boom" || spool.JobFrom(ctx) == nil {
					t.Errorf("called with %v, %d records", err, len(r.records(t)))
				}
				return nil
			}))
		r.push(t)
		r.work(t, time.Minute)
		if called != 1 {
			t.Errorf("called %d times", called)
		}
	})
}

func TestAListenerMayKeepAJobFromFailingThreeTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.handle(func(context.Context, *spool.Job) error { return errors.New("boom") })
		spool.Listen(r.conn.Events(), func(_ context.Context, e *spool.JobFailing) { e.Keep(time.Hour) })
		r.push(t)
		r.work(t, 10*time.Hour)
		r.expect(t, "processing 1", "exception", "released 1h0m0s", "processing 2", "released 1h0m0s",
			"processing 3", "released 1h0m0s", "processing 4", "failed")
	})
}

func TestAnUnknownJobIsPutBackWithItsAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.push(t)
		r.work(t, 8*time.Second)
		r.expect(t, "unhandled 1s", "unhandled 2s", "unhandled 4s", "unhandled 8s")
		r.handle(func(_ context.Context, j *spool.Job) error {
			if j.Attempt != 1 {
				t.Errorf("attempt %d after being put back, want 1", j.Attempt)
			}
			return nil
		})
		r.work(t, time.Minute)
		r.expect(t, "processing 1", "processed deleted")
	})
}

func TestFailUnknownIsLaravelsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.opts.FailUnknown = true
		r.push(t)
		r.work(t, time.Minute)
		r.expect(t, "processing 1", "exception", "failed")
	})
}

func TestWhatIsNoJobIsSetAsideAndBlocksNothing(t *testing.T) {
	for _, body := range []string{"not json", `["list"]`, "\xff\xfe", ""} {
		t.Run(fmt.Sprintf("%q", body), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.opts.Concurrency = 1
				r.handle(func(context.Context, *spool.Job) error { return nil })
				if _, err := r.conn.PushRaw(t.Context(), "", []byte(body), 0); err != nil {
					t.Fatal(err)
				}
				r.push(t)
				r.work(t, time.Minute)
				r.expect(t, "failed", "processing 1", "processed deleted")
				recs := r.records(t)
				if len(recs) != 1 || !bytes.Equal(recs[0].Payload, []byte(body)) || recs[0].UUID == "" {
					t.Errorf("recorded %+v", recs)
				}
			})
		})
	}
}

func TestWithoutAFailedStoreWhatIsNoJobGoesToThePoisonQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.opts.Failed = nil
		if _, err := r.conn.PushRaw(t.Context(), "", []byte("not json"), 0); err != nil {
			t.Fatal(err)
		}
		r.work(t, time.Minute)
		if a, b := r.size(t, "default").Total(), r.size(t, "default:poison").Total(); a != 0 || b != 1 {
			t.Errorf("%d left, %d poisoned", a, b)
		}
	})
}

func TestAStoppingWorkerDrainsThenHandsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.opts.Grace = 10 * time.Second
		var mu sync.Mutex
		done := 0
		r.handle(func(ctx context.Context, j *spool.Job) error {
			var d time.Duration
			if err := j.Decode(&d); err != nil {
				return err
			}
			select {
			case <-time.After(d):
				mu.Lock()
				done++
				mu.Unlock()
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		for _, d := range []time.Duration{5 * time.Second, time.Hour} {
			if _, err := spool.Push(t.Context(), r.client, "j", d, spool.Timeout(0)); err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		res := r.work(t, time.Second)
		if up := time.Since(begun); up < 11*time.Second || up > 12*time.Second {
			t.Errorf("stopped after %v, want grace to be used", up)
		}
		if done != 1 || res.ExitCode != 0 || res.Reason != worker.Interrupted {
			t.Errorf("%d done, %+v", done, res)
		}
		entries, _, err := r.conn.List(t.Context(), "", driver.Pending, "", 10)
		if err != nil || len(entries) != 1 || entries[0].Attempts != 0 {
			t.Errorf("handed back: %+v, %v; want one job with its attempts as before", entries, err)
		}
	})
}

func TestAHandlerThatIgnoresItsContext(t *testing.T) {
	tests := []struct {
		name   string
		tries  int
		events []string
		exit   int
		left   int64
	}{
		{"with attempts left its job keeps its lease and the worker stops", 2, []string{"processing 1", "timed out", "stuck"}, worker.ExitError, 1},
		{"without attempts left its job fails and its slot is replaced", 1, []string{"processing 1", "timed out", "stuck", "failed"}, worker.ExitOK, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.opts.Concurrency = 1
				r.opts.Grace = time.Second
				block := make(chan struct{})
				r.handle(func(context.Context, *spool.Job) error { <-block; return nil }, spool.Tries(tt.tries), spool.Timeout(time.Second))
				r.push(t)
				res := r.work(t, time.Minute)
				r.expect(t, tt.events...)
				if res.ExitCode != tt.exit {
					t.Errorf("%+v, want exit code %d", res, tt.exit)
				}
				if left := r.size(t, "").Total(); left != tt.left {
					t.Errorf("%d jobs left, want %d", left, tt.left)
				}
				close(block)
				synctest.Wait()
			})
		})
	}
}

func TestSignalsOfTheCache(t *testing.T) {
	keys := spool.LaravelKeys()
	t.Run("restart stops the worker", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			go func() {
				time.Sleep(5 * time.Second)
				_ = r.opts.Signals.Put(t.Context(), keys.Restart, time.Now().Unix(), 0)
			}()
			if res := r.work(t, time.Minute); res.Reason != worker.Restarting || res.ExitCode != 0 {
				t.Errorf("%+v", res)
			}
		})
	})
	for name, key := range map[string]string{
		"a paused queue": keys.Paused("mem", "default"), "all queues paused": keys.PausedAll, "maintenance": keys.Maintenance,
	} {
		t.Run(name+" isn't worked until it ends", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				begun := time.Now()
				var ran time.Duration
				r.handle(func(context.Context, *spool.Job) error { ran = time.Since(begun); return nil })
				if err := r.opts.Signals.Put(t.Context(), key, true, 20*time.Second); err != nil {
					t.Fatal(err)
				}
				r.push(t)
				r.work(t, time.Minute)
				if ran < 20*time.Second || ran > 23*time.Second {
					t.Errorf("ran after %v, want soon after 20s", ran)
				}
			})
		})
	}
	t.Run("force works in maintenance mode", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.opts.Force = true
			r.handle(func(context.Context, *spool.Job) error { return nil })
			_ = r.opts.Signals.Put(t.Context(), keys.Maintenance, true, 0)
			r.push(t)
			r.work(t, time.Second)
			r.expect(t, "processing 1", "processed deleted")
		})
	})
}

func TestPriorityIsStrict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.opts.Queues, r.opts.Concurrency, r.opts.StopWhenEmpty = []string{"high", "low"}, 1, true
		var order []string
		r.handle(func(ctx context.Context, j *spool.Job) error {
			order = append(order, j.Queue)
			if len(order) == 1 {
				r.push(t, spool.OnQueue("high"))
			}
			return nil
		})
		for range 2 {
			r.push(t, spool.OnQueue("low"))
			r.push(t, spool.OnQueue("high"))
		}
		if res := r.work(t, time.Minute); res.Reason != worker.Empty {
			t.Errorf("%+v", res)
		}
		if got := strings.Join(order, " "); got != "high high high low low" {
			t.Errorf("got %s", got)
		}
	})
}

func TestOnceAndMaxJobsTakeNoMore(t *testing.T) {
	for name, set := range map[string]func(*worker.Options){
		"once":     func(o *worker.Options) { o.Once = true },
		"max jobs": func(o *worker.Options) { o.MaxJobs = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				set(&r.opts)
				r.handle(func(context.Context, *spool.Job) error { return nil })
				r.push(t)
				r.push(t)
				if res := r.work(t, time.Minute); res.Processed != 1 {
					t.Errorf("%+v", res)
				}
				if n := r.size(t, ""); n.Pending != 1 {
					t.Errorf("%+v left, want one pending", n)
				}
			})
		})
	}
}

func TestALoopingListenerMayVetoTheRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.handle(func(context.Context, *spool.Job) error { return nil })
		begun := time.Now()
		spool.Listen(r.conn.Events(), func(_ context.Context, e *spool.WorkerLooping) {
			if time.Since(begun) < 30*time.Second {
				e.Veto()
			}
		})
		r.push(t)
		r.work(t, 20*time.Second)
		r.expect(t)
		r.work(t, 20*time.Second)
		r.expect(t, "processing 1", "processed deleted")
	})
}
