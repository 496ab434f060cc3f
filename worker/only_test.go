package worker_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

// counted is a queue in memory whose looks are counted. Without Selector it
// stands for a backend that can't select.
type counted struct {
	driver.Conn
	driver.Waiter
	driver.Returner
	driver.Lister
	looks atomic.Int64
}

func (c *counted) Reserve(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
	c.looks.Add(1)
	return c.Conn.Reserve(ctx, queue, max)
}

type selecting struct{ *counted }

func (s selecting) ReserveMatching(ctx context.Context, queue string, max int, sel *driver.Selection) ([]driver.Reservation, error) {
	s.looks.Add(1)
	return s.Conn.(driver.Selector).ReserveMatching(ctx, queue, max, sel)
}

// onCounted returns a worker's world on such a backend.
func onCounted(t *testing.T, selects bool) (*rig, *counted) {
	t.Helper()
	r := newRig(t)
	mem := r.conn.Driver().(*memqueue.Conn)
	c := &counted{Conn: mem, Waiter: mem, Returner: mem, Lister: mem}
	var d driver.Conn = c
	if selects {
		d = selecting{c}
	}
	m := spool.Connect(d).Manager()
	conn, err := m.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	r.conn = conn
	return r, c
}

// pushNamed pushes n jobs of a name.
func (r *rig) pushNamed(t *testing.T, name string, n int) {
	t.Helper()
	for i := range n {
		if _, err := spool.Push(t.Context(), r.client, name, i); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOnlyTakesItsNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := onCounted(t, true)
		var mu sync.Mutex
		var ran []string
		handle := func(_ context.Context, job *spool.Job) error {
			mu.Lock()
			defer mu.Unlock()
			ran = append(ran, job.Name)
			return nil
		}
		r.mux.HandleFunc("mine", handle, spool.Alias(`App\Jobs\Mine`))
		r.mux.HandleFunc("mine.too", handle)
		r.mux.HandleFunc("not now", handle)
		for range 50 {
			for _, name := range []string{"php's", "mine", "not now", `App\Jobs\Mine`, "mine.too"} {
				r.pushNamed(t, name, 1)
			}
		}
		r.opts.Only, r.opts.StopWhenEmpty = []string{"mine", "mine.too"}, true
		if res := r.work(t, time.Minute); res.Processed != 150 || res.Reason != worker.Empty {
			t.Errorf("%+v", res)
		}
		slices.Sort(ran)
		if got := slices.Compact(ran); !slices.Equal(got, []string{`App\Jobs\Mine`, "mine", "mine.too"}) {
			t.Errorf("ran %q", got)
		}
		entries, _, err := r.conn.List(t.Context(), "", driver.Pending, "", 1000)
		if err != nil || len(entries) != 100 {
			t.Fatalf("%d jobs wait, want the 100 others: %v", len(entries), err)
		}
		for i, e := range entries {
			if want := fmt.Sprintf(`"job":"%s"`, []string{"php's", "not now"}[i%2]); e.Attempts != 0 || !bytes.Contains(e.Body, []byte(want)) {
				t.Fatalf("job %d: attempts %d, %s", i, e.Attempts, e.Body)
			}
		}
	})
}

// Where the backend can't select, the others are put back with their attempts,
// and what comes is still only what was asked for.
func TestOnlyWithoutASelector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := onCounted(t, false)
		var ran atomic.Int64
		for _, name := range []string{"mine", "not now"} {
			r.mux.HandleFunc(name, func(_ context.Context, job *spool.Job) error {
				if job.Name == "mine" {
					ran.Add(1)
				}
				return nil
			})
		}
		for range 100 {
			r.pushNamed(t, "php's", 1)
			r.pushNamed(t, "not now", 1)
			r.pushNamed(t, "mine", 1)
		}
		r.opts.Only, r.opts.FailUnknown = []string{"mine"}, true
		if res := r.work(t, 20*time.Second); res.Processed != 100 || res.Failed != 0 || ran.Load() != 100 {
			t.Errorf("%+v, %d ran", res, ran.Load())
		}
		entries, _, err := r.conn.List(t.Context(), "", driver.Delayed, "", 1000)
		if err != nil || len(entries) != 200 {
			t.Fatalf("%d jobs, %v", len(entries), err)
		}
		for _, e := range entries {
			if e.Attempts != 0 {
				t.Fatalf("%d attempts were counted: %s", e.Attempts, e.Body)
			}
		}
	})
}

func TestOnlyNeedsAHandler(t *testing.T) {
	r := newRig(t)
	r.handle(func(context.Context, *spool.Job) error { return nil })
	r.opts.Only = []string{"j", "k"}
	res, err := worker.New(r.conn, r.mux, &r.opts).Run(t.Context())
	if err == nil || res.ExitCode != worker.ExitError || !strings.Contains(err.Error(), `no handler has the name "k"`) {
		t.Errorf("%+v, %v", res, err)
	}
}

// Looks at a queue that holds only jobs of others don't spin, and a job of its
// own is still found soon.
func TestOnlyLooksNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := onCounted(t, true)
		done := make(chan time.Time, 1)
		r.handle(func(context.Context, *spool.Job) error { done <- time.Now(); return nil })
		r.opts.Only = []string{"j"}
		r.pushNamed(t, "php's", 3)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if _, err := worker.New(r.conn, r.mux, &r.opts).Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(time.Minute)
		if n := c.looks.Load(); n < 40 || n > 100 {
			t.Errorf("the queue was looked at %d times in a minute", n)
		}
		pushed := time.Now()
		r.push(t)
		if at := <-done; at.Sub(pushed) > time.Second {
			t.Errorf("the job was found after %v", at.Sub(pushed))
		}
		stop()
		<-ended
	})
}
