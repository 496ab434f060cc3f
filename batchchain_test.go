package spool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/retry"
)

// withBatches is a podium whose batches are in store.
func withBatches(t *testing.T, conn driver.Conn, store spool.BatchStore) *podium {
	t.Helper()
	p := newPodium(t, nil, map[string]driver.Conn{"mem": conn})
	p.manager.UseBatches(spool.BatchingOptions{Open: func(context.Context) (spool.BatchStore, error) { return store, nil }})
	return p
}

// told is a callback, which is told of no link.
type told struct {
	What string `json:"what"`
}

func (p *podium) tells() {
	spool.Handle(p.mux, func(ctx context.Context, v told) error {
		p.note(ctx, v.What)
		return nil
	})
}

func counts(t *testing.T, b *spool.Batch) string {
	t.Helper()
	now, err := b.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d of %d, %d failed, cancelled %v, finished %v", now.Processed(), now.Total, len(now.FailedIDs), now.Cancelled(), now.Finished())
}

func TestAChainInABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := withBatches(t, memqueue.New(nil), batch.NewMemory())
		p.tells()
		dispatch := func() *spool.Batch {
			b, err := p.client.Batch(step{"x"}, p.client.Chain(step{"a"}, spool.With(step{"b"}, spool.Tries(2)), step{"c"}), p.client.Chain(step{"y"})).
				AllowFailures().Then(told{"then"}).Finally(told{"finally"}).Dispatch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		b := dispatch()
		if got := counts(t, b); got != "0 of 5, 0 failed, cancelled false, finished false" {
			t.Error(got)
		}
		p.work(t, 5*time.Minute)
		p.expect(t, "x", "a", "y", "b", "c", "then", "finally")
		for _, job := range p.jobs[:5] {
			if job.Payload.BatchID != b.ID {
				t.Errorf("%s is in batch %q", job.Body, job.Payload.BatchID)
			}
		}
		if got := counts(t, b); got != "5 of 5, 0 failed, cancelled false, finished true" {
			t.Error(got)
		}

		// What a link that fails keeps from running has failed with it, and the
		// batch comes to its end; a retry of the link mends all of it.
		p.fails["b"] = errors.New("no")
		b = dispatch()
		p.work(t, 5*time.Minute)
		p.expect(t, "x", "a", "y", "b", "b", "finally")
		if got := counts(t, b); got != "3 of 5, 2 failed, cancelled false, finished false" {
			t.Error(got)
		}
		delete(p.fails, "b")
		if err := retry.All(t.Context(), p.manager, p.store, failed.Filter{}, nil); err != nil {
			t.Fatal(err)
		}
		p.work(t, 5*time.Minute)
		p.expect(t, "b", "c", "then")
		if got := counts(t, b); got != "5 of 5, 0 failed, cancelled false, finished true" {
			t.Error(got)
		}
	})
}

func TestABatchInAChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := withBatches(t, memqueue.New(nil), batch.NewMemory())
		p.tells()
		chain := func() *spool.Chain {
			return p.client.Chain(step{"a"}, p.client.Batch(step{"x"}, spool.With(step{"y"}, spool.Delay(time.Second))).Name("two").Then(told{"then"}), step{"c"}, step{"d"}).
				Catch(told{"caught"})
		}
		ref := dispatched(t, chain())
		p.work(t, 5*time.Minute)
		first := p.ran
		slices.Sort(first[3:5]) // callbacks of one event
		p.expect(t, "a", "x", "y", "c", "then", "d")
		for i, job := range p.jobs {
			if info, err := spool.ChainOf(job.Payload); err != nil || info != nil && info.ID != ref.UUID {
				t.Errorf("job %d knows %+v, %v", i, info, err)
			}
		}
		b, err := p.client.FindBatch(t.Context(), p.jobs[1].Payload.BatchID)
		if err != nil || b.Name != "two" || b.Total != 2 {
			t.Fatalf("%+v, %v", b, err)
		}

		// It begins a chain as well.
		dispatched(t, p.client.Chain(p.client.Batch(step{"x"}), step{"z"}))
		p.work(t, 5*time.Minute)
		p.expect(t, "x", "z")

		// A member fails: the chain stops, and goes on when it has succeeded.
		p.fails["x"] = errors.New("no")
		dispatched(t, chain())
		p.work(t, 5*time.Minute)
		p.expect(t, "a", "x", "caught", "y")
		delete(p.fails, "x")
		if err := retry.All(t.Context(), p.manager, p.store, failed.Filter{}, nil); err != nil {
			t.Fatal(err)
		}
		p.work(t, 5*time.Minute)
		slices.Sort(p.ran[1:3])
		p.expect(t, "x", "c", "then", "d")

		// Somebody cancels it: the chain ends there.
		p.then = func(ctx context.Context, name string) error {
			if name != "y" {
				return nil
			}
			b, err := spool.BatchFrom(ctx)
			if err != nil {
				return err
			}
			return b.Cancel(ctx)
		}
		dispatched(t, chain())
		p.work(t, 5*time.Minute)
		if slices.Contains(p.ran, "c") || slices.Contains(p.ran, "d") {
			t.Errorf("ran %v", p.ran)
		}
	})
}

// A crash while a batch begins, or its members are pushed, loses nothing.
func TestABatchInAChainSurvivesACrash(t *testing.T) {
	for at := 1; at <= 8; at++ {
		for _, done := range []bool{false, true} {
			t.Run(fmt.Sprintf("change %d, done %v", at, done), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					conn, store := memqueue.New(&memqueue.Options{RetryAfter: 10 * time.Second}), batch.NewMemory()
					before := withBatches(t, &crashing{Conn: conn, at: int64(at) + 1, done: done}, store)
					after := withBatches(t, conn, store)
					after.store = before.store
					dispatched(t, before.client.Chain(spool.With(step{"a"}, spool.Tries(3)),
						before.client.Batch(spool.With(step{"x"}, spool.Tries(3)), spool.With(step{"y"}, spool.Tries(3))),
						spool.With(step{"c"}, spool.Tries(3))))
					before.work(t, 30*time.Second)
					after.work(t, 10*time.Minute)
					ran := append(before.ran, after.ran...)
					for _, name := range []string{"a", "x", "y", "c"} {
						if !slices.Contains(ran, name) {
							t.Errorf("%s never ran: %v", name, ran)
						}
					}
					if slices.Index(ran, "c") < max(slices.Index(ran, "x"), slices.Index(ran, "y")) {
						t.Errorf("out of order: %v", ran)
					}
					list, err := store.List(t.Context(), "", 10)
					if err != nil || len(list) != 1 || list[0].Total != 2 || list[0].Pending != 0 {
						t.Errorf("batches %+v, %v", list, err)
					}
					if size, err := after.manager.Connection(t.Context(), ""); err != nil {
						t.Error(err)
					} else if n, err := size.Size(t.Context(), ""); err != nil || n.Total() != 0 {
						t.Errorf("left %+v, %v", n, err)
					}
				})
			})
		}
	}
}

func TestChainsAndBatchesThatAreRefused(t *testing.T) {
	p := withBatches(t, memqueue.New(nil), batch.NewMemory())
	none := newPodium(t, nil, map[string]driver.Conn{})
	for says, err := range map[string]error{
		"called before it":        refused(p.client.Chain(step{}, p.client.Batch(step{}).Before(func(context.Context, *spool.Batch) error { return nil }))),
		"chains or batches":       refused(p.client.Chain(step{}, p.client.Batch(p.client.Chain(step{})))),
		"batch: number 1":         refused(p.client.Chain(step{}, p.client.Batch(phpJob{}))),
		"no store for batches":    refused(none.client.Chain(none.client.Batch(step{}))),
		"put a job between":       refused(p.client.Chain(p.client.Batch(step{}), p.client.Batch(step{}))),
		"in a chain that is in a": batchRefused(p.client.Batch(p.client.Chain(p.client.Batch(step{})))),
		"*spool.Chain is no job":  refused(p.client.Chain(step{}, p.client.Chain(step{}))),
		"call its Dispatch":       refused(p.client.Chain(spool.With(p.client.Batch(step{}), spool.OnQueue("q")))),
		"without links":           batchRefused(p.client.Batch(p.client.Chain())),
	} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
	if d := cmp.Diff(0, len(p.ran)); d != "" {
		t.Error(d)
	}
}

func refused(c *spool.Chain) error {
	_, err := c.Dispatch(context.Background())
	return err
}

func batchRefused(b *spool.PendingBatch) error {
	_, err := b.Dispatch(context.Background())
	return err
}

// Members that are stored, though not as safely as asked, end neither the
// dispatch of their batch nor the chain that it is a link of.
func TestABatchStoredAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := withBatches(t, unsure{memqueue.New(nil)}, batch.NewMemory())
		p.tells()
		b, err := p.client.Batch(step{"a"}, step{"b"}, spool.With(step{"c"}, spool.Tries(2))).Dispatch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.work(t, time.Minute)
		p.expect(t, "a", "b", "c")
		if got := counts(t, b); got != "3 of 3, 0 failed, cancelled false, finished true" {
			t.Error(got)
		}
		_, err = p.client.Chain(step{"first"}, p.client.Batch(step{"x"}, step{"y"}, step{"z"}), step{"last"}).Dispatch(t.Context())
		if err != nil && !errors.Is(err, driver.ErrStored) {
			t.Fatal(err)
		}
		p.work(t, time.Minute)
		p.expect(t, "first", "x", "y", "z", "last")
	})
}
