package demo_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/demo"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/memqueue"
)

// saboteur is a backend that is not to be trusted.
type saboteur struct {
	*memqueue.Conn
	push    func(ctx context.Context, queue string, ms []driver.Message) ([]string, error)
	del     func(ctx context.Context, rs []driver.Reservation) error
	reserve func(ctx context.Context, queue string, max int) ([]driver.Reservation, error)
	size    func() error
	pushes  atomic.Int32
}

func (s *saboteur) Size(ctx context.Context, queue string) (driver.Size, error) {
	if s.size != nil && s.pushes.Load() > 0 {
		return driver.Size{}, s.size()
	}
	return s.Conn.Size(ctx, queue)
}

func (s *saboteur) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	s.pushes.Add(1)
	if s.push != nil {
		return s.push(ctx, queue, ms)
	}
	return s.Conn.Push(ctx, queue, ms)
}

func (s *saboteur) Delete(ctx context.Context, rs []driver.Reservation) error {
	if s.del != nil {
		return s.del(ctx, rs)
	}
	return s.Conn.Delete(ctx, rs)
}

func (s *saboteur) Reserve(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
	if s.reserve != nil {
		return s.reserve(ctx, queue, max)
	}
	return s.Conn.Reserve(ctx, queue, max)
}

// world is a store in memory, with the failed jobs in a file.
type world struct {
	conn   *saboteur
	client *spool.Client
	opts   demo.Options
	out    *bytes.Buffer
}

func newWorld(t *testing.T) *world {
	w := &world{conn: &saboteur{Conn: memqueue.New(&memqueue.Options{RetryAfter: time.Minute})}, out: &bytes.Buffer{}}
	w.client = spool.Connect(w.conn)
	w.opts = demo.Options{Jobs: 40, Out: w.out, Failed: failed.NewFile(filepath.Join(t.TempDir(), "failed.json"), nil)}
	t.Cleanup(func() { _ = w.client.Manager().Close() })
	return w
}

// run runs the demo in a time of its own.
func (w *world) run(t *testing.T) (s *demo.Summary) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if s, err = demo.Run(t.Context(), w.client, &w.opts); err != nil {
			t.Fatalf("%v\n%s", err, w.out)
		}
	})
	return s
}

func TestRunAddsUp(t *testing.T) {
	for _, jobs := range []int{demo.MinJobs, 11, 300, 7001} {
		w := newWorld(t)
		w.opts.Jobs = jobs
		s := w.run(t)
		if !s.OK || len(s.Problems) > 0 || len(s.Left) > 0 {
			t.Fatalf("%d jobs: %+v", jobs, s)
		}
		n := int64(jobs)
		if s.Pushed != n || s.Processed != n-1 || s.Failed != 1 || s.Retried != 1 || s.Released != 3 || s.Runs != n+4 {
			t.Errorf("%d jobs: %+v", jobs, s.Count)
		}
		if len(s.FailedJobs) != 1 || len(s.Queues) != 2 || s.Queues[0].Queue != demo.High || s.Queues[0].Pushed+s.Queues[1].Pushed != n {
			t.Errorf("%d jobs: failed jobs %v, queues %+v", jobs, s.FailedJobs, s.Queues)
		}
		for _, want := range []string{"put back by hand", "card was declined; attempt 2, failed for good", "does not answer; attempt 2, again in 1s"} {
			if !strings.Contains(w.out.String(), want) {
				t.Errorf("%d jobs: the progress doesn't tell %q:\n%s", jobs, want, w.out)
			}
		}
	}
}

func TestWithoutRecordsNothingIsRetried(t *testing.T) {
	w := newWorld(t)
	w.opts.Failed = nil
	if s := w.run(t); !s.OK || s.Failed != 2 || s.Retried != 0 || s.Processed != 38 {
		t.Errorf("%+v", s)
	}
}

func TestSabotageIsFoundOut(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world)
		want  string
	}{
		"a job is dropped": {func(w *world) {
			w.conn.push = func(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
				if len(ms) < 10 {
					return w.conn.Conn.Push(ctx, queue, ms)
				}
				ids, err := w.conn.Conn.Push(ctx, queue, ms[1:])
				return append([]string{"gone"}, ids...), err
			}
		}, "was lost: it never ran"},
		"a job is doubled": {func(w *world) {
			w.conn.push = func(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
				ids, err := w.conn.Conn.Push(ctx, queue, append(slices.Clone(ms), ms[0]))
				return ids[:len(ms)], err
			}
		}, "was run"},
		"a job is doubled late": {func(w *world) {
			w.conn.push = func(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
				ids, err := w.conn.Conn.Push(ctx, queue, ms)
				if len(ms) > 10 {
					late := ms[0]
					late.Delay = time.Hour
					_, _ = w.conn.Conn.Push(ctx, queue, []driver.Message{late})
				}
				return ids, err
			}
		}, "should be empty and holds 1 jobs: 0 pending, 1 delayed, 0 reserved"},
		"a delete is forgotten": {func(w *world) {
			var once sync.Once
			w.conn.del = func(ctx context.Context, rs []driver.Reservation) (err error) {
				once.Do(func() { rs = rs[1:]; err = w.conn.Conn.Release(ctx, rs[:0], 0) })
				return errors.Join(err, w.conn.Conn.Delete(ctx, rs))
			}
		}, "1 reserved"},
		"a job is swallowed while it is worked": {func(w *world) {
			var once sync.Once
			w.conn.reserve = func(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
				rs, err := w.conn.Conn.Reserve(ctx, queue, max)
				if len(rs) > 0 {
					once.Do(func() { _ = w.conn.Conn.Delete(ctx, rs[:1]); rs = rs[1:] })
				}
				return rs, err
			}
		}, "was lost: it never ran"},
		"a failure is not recorded": {func(w *world) {
			w.opts.Failed = forgetful{w.opts.Failed}
		}, "there is no record of it"},
		"a stranger's job comes in between": {func(w *world) {
			var once sync.Once
			w.conn.reserve = func(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
				once.Do(func() {
					body := []byte(`{"uuid":"5","job":"demo.SendReminder","data":{}}`)
					_, _ = w.conn.Conn.Push(ctx, demo.High, []driver.Message{{Body: body}})
				})
				return w.conn.Conn.Reserve(ctx, queue, max)
			}
		}, "that this demo did not push"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.spoil(w)
			s := w.run(t)
			if s.OK || !strings.Contains(strings.Join(s.Problems, "\n"), c.want) {
				t.Errorf("OK %v, want a problem that says %q:\n%s", s.OK, c.want, strings.Join(s.Problems, "\n"))
			}
			var text bytes.Buffer
			if err := s.Print(&text); err != nil || !strings.Contains(text.String(), "It does not add up:") {
				t.Errorf("%v\n%s", err, &text)
			}
		})
	}
}

// forgetful loses the record of every job that used up its attempts.
type forgetful struct{ failed.Store }

func (f forgetful) List(ctx context.Context, filter failed.Filter, cursor string, max int) ([]failed.Record, string, error) {
	page, next, err := f.Store.List(ctx, filter, cursor, max)
	return slices.DeleteFunc(page, func(r failed.Record) bool { return bytes.Contains(r.Payload, []byte(`"maxTries":2`)) }), next, err
}

func TestQueuesOfOthersAreNotTouched(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, w *world){
		"which is not the demo's": func(t *testing.T, w *world) {
			push(t, w.conn, `{"uuid":"1","job":"SendInvoice","data":{}}`)
		},
		"holds what is no job": func(t *testing.T, w *world) {
			push(t, w.conn, `nonsense`)
		},
		"is being worked": func(t *testing.T, w *world) {
			push(t, w.conn, `{"uuid":"1","job":"demo.SendReminder","data":{}}`)
			if _, err := w.conn.Reserve(t.Context(), demo.Low, 1); err != nil {
				t.Fatal(err)
			}
		},
	} {
		w := newWorld(t)
		spoil(t, w)
		_, err := demo.Run(t.Context(), w.client, &w.opts)
		if !errors.Is(err, demo.ErrInUse) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		for _, q := range demo.Queues() {
			if size, err := w.conn.Size(t.Context(), q); err != nil || size.Total() > 1 {
				t.Errorf("%s: %+v, %v", name, size, err)
			}
		}
	}
}

func push(t *testing.T, c driver.Conn, body string) {
	t.Helper()
	if _, err := c.Push(t.Context(), demo.Low, []driver.Message{{Body: []byte(body)}}); err != nil {
		t.Fatal(err)
	}
}

func TestInterruptedRunLeavesJobsThatTheNextOneWorks(t *testing.T) {
	w := newWorld(t)
	w.opts.Jobs = 400
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		s, err := demo.Run(ctx, w.client, &w.opts)
		if took := time.Since(began); err != nil || took > 2*time.Second {
			t.Fatalf("%v after %v", err, took)
		}
		left := int64(0)
		for _, l := range s.Left {
			left += *l.Jobs
		}
		if s.OK || !s.Interrupted || len(s.Problems) > 0 || left+s.Processed+int64(len(s.FailedJobs)) != 400 || left < 100 {
			t.Fatalf("%d left, %+v", left, s)
		}
		w.opts.Jobs = 0
		s, err = demo.Run(t.Context(), w.client, &w.opts)
		if err != nil || !s.OK || s.Pushed != 0 || s.Adopted != left || s.Processed != left {
			t.Fatalf("%d left, then %v, %+v", left, err, s)
		}
	})
}

func TestNothingToDo(t *testing.T) {
	w := newWorld(t)
	w.opts.Jobs = 0
	var text bytes.Buffer
	if s := w.run(t); !s.OK || s.Print(&text) != nil || !strings.Contains(text.String(), "There was nothing to work.") {
		t.Errorf("%+v\n%s", s, &text)
	}
}

// A worker elsewhere that takes the jobs and never ends them must not make the
// demo wait for ever.
func TestJobsHeldByOthersAreNotWaitedForForEver(t *testing.T) {
	w := newWorld(t)
	var once sync.Once
	w.conn.reserve = func(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
		once.Do(func() {
			rs, _ := w.conn.Conn.Reserve(ctx, demo.Low, 1)
			go func() { // a worker that renews its lease and nothing else
				tick := time.NewTicker(20 * time.Second)
				defer tick.Stop()
				for ctx.Err() == nil && w.conn.Extend(ctx, rs) == nil {
					select {
					case <-ctx.Done():
					case <-tick.C:
					}
				}
			}()
		})
		return w.conn.Conn.Reserve(ctx, queue, max)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s, err := demo.Run(ctx, w.client, &w.opts)
		if err == nil || !strings.Contains(err.Error(), "does another worker hold them?") || s.OK || len(s.Left) != 1 {
			t.Errorf("%v, %+v", err, s)
		}
	})
}

func TestOutageIsToldAndEnds(t *testing.T) {
	w := newWorld(t)
	down := errors.New("the server is gone")
	w.conn.reserve = func(context.Context, string, int) ([]driver.Reservation, error) { return nil, down }
	w.conn.size = func() error { return down }
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		s, err := demo.Run(ctx, w.client, &w.opts)
		if !errors.Is(err, down) || s.OK || len(s.Left) != 2 || s.Left[0].Jobs != nil {
			t.Errorf("%v, %+v", err, s)
		}
		if n := strings.Count(w.out.String(), "cannot reserve jobs"); n < 2 || n > 10 {
			t.Errorf("told %d times:\n%s", n, w.out)
		}
	})
}

// A demo that was killed has left reservations behind; its jobs are worked by
// the next, even where expired reservations don't come back by themselves.
func TestJobsOfAKilledDemoAreWorked(t *testing.T) {
	for _, keep := range []bool{false, true} {
		w := newWorld(t)
		w.conn.Conn = memqueue.New(&memqueue.Options{RetryAfter: driver.MinLease, KeepExpired: keep})
		synctest.Test(t, func(t *testing.T) {
			push(t, w.conn, `{"uuid":"1","job":"demo.SendReminder","data":{}}`)
			if rs, err := w.conn.Conn.Reserve(t.Context(), demo.Low, 1); err != nil || len(rs) != 1 {
				t.Fatal(rs, err)
			}
			time.Sleep(driver.DefaultLease)
			s, err := demo.Run(t.Context(), w.client, &w.opts)
			if err != nil || !s.OK || s.Adopted != 1 || s.Processed != 40 {
				t.Errorf("keep %v: %v, %+v", keep, err, s)
			}
		})
	}
}
