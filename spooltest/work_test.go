package spooltest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/spooltest"
	"github.com/spoolq/spool/syncqueue"
)

func TestWorkMovesTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := spooltest.NewFake(t, nil)
		begun := time.Now()
		var got []string
		mux := does(func(_ context.Context, job Charge) error {
			got = append(got, fmt.Sprint(job.Order, " ", time.Since(begun).Round(time.Second)))
			return nil
		})
		push(t, fake, Charge{3}, spool.Delay(48*time.Hour), spool.OnQueue("a"))
		push(t, fake, Charge{2}, spool.Delay(time.Hour), spool.OnQueue("b"))
		push(t, fake, Charge{1})
		if n := len(spooltest.Work(t, fake.Client, mux, &spooltest.WorkOptions{For: -1})); n != 1 {
			t.Errorf("%d were due", n)
		}
		if n := len(spooltest.Work(t, fake.Client, mux, &spooltest.WorkOptions{For: 2 * time.Hour})); n != 1 {
			t.Errorf("%d were due within two hours", n)
		}
		if n := len(spooltest.Work(t, fake.Client, mux, nil)); n != 1 {
			t.Errorf("%d were left", n)
		}
		if want := []string{"1 0s", "2 1h0m0s", "3 48h0m0s"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if n := len(spooltest.Work(t, fake.Client, mux, nil)); n != 0 {
			t.Errorf("%d out of nothing", n)
		}
	})
}

func TestWorkRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := spooltest.NewFake(t, nil)
		push(t, fake, Charge{7})
		boom := errors.New("boom")
		mux := does(func(context.Context, Charge) error { return boom }, spool.Tries(3), spool.Backoff(time.Minute, time.Hour))
		var got []string
		for _, r := range spooltest.Work(t, fake.Client, mux, nil) {
			got = append(got, fmt.Sprint(r.Job.Attempt, " ", r))
		}
		want := []string{"1 retried after 1m0s: boom", "2 retried after 1h0m0s: boom", "3 failed: boom"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// The same jobs run in the same order, each time.
func TestWorkIsDeterministic(t *testing.T) {
	t.Parallel()
	var first []string
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			fake := spooltest.NewFake(t, nil)
			mux := does(func(ctx context.Context, job Charge) error {
				if job.Order < 100 {
					_, err := spool.Dispatch(ctx, fake.Client, Charge{job.Order + 100}, spool.OnQueue("later"))
					return err
				}
				return spool.AppendToChain(ctx)
			})
			for i := range 10 {
				push(t, fake, Charge{i}, spool.Delay(time.Duration(i%3)*time.Second), spool.OnQueue(fmt.Sprint(i%2)))
			}
			var got []string
			for _, r := range spooltest.Work(t, fake.Client, mux, nil) {
				got = append(got, fmt.Sprint(r.Job.Queue, string(r.Job.Payload.Data), r.Dispatched))
			}
			if len(got) != 20 {
				t.Errorf("%d ran", len(got))
			}
			if first == nil {
				first = got
			}
			if !slices.Equal(got, first) {
				t.Errorf("got %q\nand before %q", got, first)
			}
		})
	}
}

func TestWorkAnyClientInMemory(t *testing.T) {
	t.Parallel()
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "sync", Open: func(context.Context) (driver.Conn, error) {
		return syncqueue.New(func(context.Context, string, []byte) error { return nil }), nil
	}})
	for _, name := range []string{"one", "two"} {
		m.Add(spool.ConnectionConfig{Name: name, Open: func(context.Context) (driver.Conn, error) { return memqueue.New(nil), nil }})
	}
	client := spool.NewClient(m, nil)
	defer m.Close()
	for _, name := range []string{"two", "one", "sync"} {
		if _, err := spool.Dispatch(t.Context(), client, Charge{7}, spool.OnConnection(name)); err != nil {
			t.Fatal(err)
		}
	}
	mux := does(func(context.Context, Charge) error { return nil })
	var got []string
	for _, r := range spooltest.Work(t, client, mux, nil) {
		got = append(got, r.Job.Connection)
	}
	if want := []string{"one", "two"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	fails(t, func(tb testing.TB) {
		spooltest.Work(tb, client, mux, &spooltest.WorkOptions{Connections: []string{"sync"}})
	}, "sync")
	fails(t, func(tb testing.TB) {
		spooltest.Work(tb, client, mux, &spooltest.WorkOptions{Connections: []string{"three"}})
	}, "three")
}

func TestWorkQueues(t *testing.T) {
	t.Parallel()
	fake := spooltest.NewFake(t, nil)
	for _, q := range []string{"low", "high", "other"} {
		push(t, fake, Charge{7}, spool.OnQueue(q))
	}
	mux := does(func(context.Context, Charge) error { return nil })
	var got []string
	for _, r := range spooltest.Work(t, fake.Client, mux, &spooltest.WorkOptions{Queues: []string{"high", "low"}}) {
		got = append(got, r.Job.Queue)
	}
	if want := []string{"high", "low"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWorkTells(t *testing.T) {
	t.Parallel()
	fails(t, func(tb testing.TB) { // outside of synctest.Test
		fake := spooltest.NewFake(tb, nil)
		push(tb, fake, Charge{7}, spool.Delay(time.Hour))
		spooltest.Work(tb, fake.Client, Handlers(nil), nil)
	}, "the next job is due in 1h0m0s", "synctest.Test", "WorkOptions.For")
	fails(t, func(tb testing.TB) {
		fake := spooltest.NewFake(tb, nil)
		push(tb, fake, SendReceipts{})
		push(tb, fake, SendReceipts{})
		spooltest.Work(tb, fake.Client, Handlers(nil), nil)
	}, "no handler for the job SendReceipts; there are: Charge, Refund, SendReceipt, Ship")
	again := does(func(context.Context, Charge) error { return spool.Release(0) })
	fails(t, func(tb testing.TB) {
		fake := spooltest.NewFake(tb, nil)
		push(tb, fake, Charge{7}, spool.Tries(0))
		spooltest.Work(tb, fake.Client, again, &spooltest.WorkOptions{MaxRuns: 20})
	}, "after 20 attempts there is still a job to run; the last attempt, of Charge: released after 0s")
}

// A failure of one Work doesn't reach into the next, of the same client.
func TestWorkTwice(t *testing.T) {
	t.Parallel()
	fake := spooltest.NewFake(t, nil)
	mux := does(func(ctx context.Context, job Charge) error {
		_, err := spool.Dispatch(ctx, fake.Client, Ship(job), spool.OnQueue("depot"))
		return err
	})
	for i := range 3 {
		push(t, fake, Charge{i})
		res := spooltest.Work(t, fake.Client, mux, &spooltest.WorkOptions{Queues: []string{"default"}})
		if len(res) != 1 || len(res[0].Dispatched) != 1 || res[0].Dispatched[0].Queue != "depot" {
			t.Errorf("got %v", res)
		}
	}
}

func TestWorkLosesAJob(t *testing.T) {
	t.Parallel()
	fake := spooltest.NewFake(t, nil)
	push(t, fake, Charge{7})
	mux := does(func(ctx context.Context, _ Charge) error {
		conn, err := fake.Client.Manager().Connection(ctx, "")
		if err == nil {
			_, err = conn.Clear(ctx, "")
		}
		return err
	})
	if res := spooltest.Work(t, fake.Client, mux, nil); len(res) != 1 || res[0].Outcome != spooltest.Lost {
		t.Errorf("got %v", res)
	}
}

// The test itself may wait meanwhile.
func TestWorkBesideWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := spooltest.NewFake(t, nil)
		push(t, fake, Charge{7}, spool.Delay(time.Hour))
		var waiting sync.WaitGroup
		waiting.Go(func() {
			for range 1000 {
				synctest.Wait()
			}
		})
		mux := does(func(context.Context, Charge) error { return nil })
		if n := len(spooltest.Work(t, fake.Client, mux, nil)); n != 1 {
			t.Errorf("%d ran", n)
		}
		waiting.Wait()
	})
}
