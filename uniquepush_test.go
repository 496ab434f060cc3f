package spool_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/syncqueue"
	"github.com/spoolq/spool/worker"
)

// Jobs that run in their caller are unique while they run.
func TestUniqueOnSync(t *testing.T) {
	for name, tt := range map[string]struct {
		end   error
		fails bool
	}{
		"done": {nil, false}, "failed": {errors.New("no"), true}, "released": {spool.Release(time.Minute), false}, "turned away": {spool.GiveBack(time.Minute, nil), true},
	} {
		t.Run(name, func(t *testing.T) {
			store := cache.NewMemory()
			m := spool.NewManager(&spool.ManagerOptions{Locks: store})
			c := spool.NewClient(m, nil)
			mux, inside := spool.NewMux(), 0
			spool.Handle(mux, func(ctx context.Context, r Reindex) error {
				inside++
				if ref, err := spool.Dispatch(ctx, c, r); err != nil || !ref.Skipped {
					t.Errorf("from inside: %+v, %v", ref, err)
				}
				return tt.end
			})
			run := worker.Inline("sync", mux, nil, m.Events(), &worker.Options{Followers: m.Followers(), Locks: store})
			m.Add(spool.ConnectionConfig{Name: "sync", Open: func(context.Context) (driver.Conn, error) { return syncqueue.New(run), nil }})
			for range 2 {
				if _, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"}); (err != nil) != tt.fails {
					t.Errorf("%v", err)
				}
			}
			if o := owner(t, store, reindexLock); o != "" || inside != 2 {
				t.Errorf("it ran %d times, and the lock is %q's", inside, o)
			}
		})
	}
}

// A failover tries one connection after the other with one uuid: the lock that
// it took for the first is good for the next.
func TestUniqueOnFailover(t *testing.T) {
	store := cache.NewMemory()
	m := spool.NewManager(&spool.ManagerOptions{Default: "both", Locks: store})
	m.Add(spool.ConnectionConfig{Name: "down", Open: func(context.Context) (driver.Conn, error) { return nil, errors.New("down") }})
	m.Add(spool.ConnectionConfig{Name: "mem", Open: func(context.Context) (driver.Conn, error) { return memqueue.New(nil), nil }})
	m.Add(spool.ConnectionConfig{Name: "both", Failover: []string{"down", "mem"}})
	c := spool.NewClient(m, nil)
	refs, err := spool.DispatchAll(t.Context(), c, []Reindex{{"shoes"}, {"shoes"}, {"hats"}})
	if err != nil || len(refs) != 3 || refs[0].Skipped || !refs[1].Skipped || refs[2].Skipped || pending(t, c, "mem") != 2 {
		t.Errorf("%+v, %v", refs, err)
	}
	if o := owner(t, store, reindexLock); o != refs[0].UUID {
		t.Errorf("the lock is %q's", o)
	}
}

// Jobs that are held until a scope ends have their locks from the start, and
// lose them if they can't be pushed then.
func TestUniqueDeferred(t *testing.T) {
	store, down := cache.NewMemory(), errors.New("down")
	m := spool.NewManager(&spool.ManagerOptions{Locks: store})
	m.Add(spool.ConnectionConfig{Name: "later", Deferred: true, Open: func(context.Context) (driver.Conn, error) {
		return syncqueue.New(func(context.Context, string, []byte) error { return down }), nil
	}})
	c := spool.NewClient(m, nil)
	ctx, end := spool.Deferred(t.Context())
	ref, err := spool.Dispatch(ctx, c, Reindex{"shoes"})
	if err != nil || owner(t, store, reindexLock) != ref.UUID {
		t.Errorf("%v, the lock is %q's", err, owner(t, store, reindexLock))
	}
	if err := end(); !errors.Is(err, down) || owner(t, store, reindexLock) != "" {
		t.Errorf("%v, the lock is %q's", err, owner(t, store, reindexLock))
	}
}

// A handler may take its jobs by pointer.
func TestUniqueJobOfPHPByPointer(t *testing.T) {
	f, err := laravel.New(&laravel.Options{Version: 11})
	if err != nil {
		t.Fatal(err)
	}
	c, store := locked(t, f)
	if ok, err := store.Acquire(t.Context(), reindexLock, "php", 0); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, err := spool.Dispatch(t.Context(), c, laravel.NewCommand("Reindex", laravel.Public("Shop", "shoes"))); err != nil {
		t.Fatal(err)
	}
	mux, shop := spool.NewMux(), ""
	spool.Handle(mux, func(_ context.Context, r *Reindex) error { shop = r.Shop; return nil })
	res := drain(t, c, mux)
	if o := owner(t, store, reindexLock); o != "" || shop != "shoes" || res.Processed != 1 || res.Failed != 0 {
		t.Errorf("%+v of %q, and the lock is %q's", res, shop, o)
	}
}

// What isn't a claim is none: the job runs.
func TestClaimsThatDoNotDecode(t *testing.T) {
	for _, v := range []string{`null`, `"x"`, `[]`, `{}`, `7`, `{"key":7}`, `{"key":""}`, `{"owner":["a"]}`} {
		body := `{"uuid":"u","displayName":"Reindex","job":"Reindex","data":{"Shop":"shoes"},"spoolUnique":` + v + `,"spoolDebounced":` + v + `}`
		c, _ := locked(t, nil)
		conn, err := c.Manager().Connection(t.Context(), "")
		if err == nil {
			_, err = conn.PushRaw(t.Context(), "", []byte(body), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		mux, ran := spool.NewMux(), 0
		spool.Handle(mux, func(context.Context, Reindex) error { ran++; return nil })
		if res := drain(t, c, mux); ran != 1 || res.Processed != 1 {
			t.Errorf("%s: ran %d times, %+v", v, ran, res)
		}
	}
}

// Members of a batch have no locks: it waits for each of them.
func TestUniqueInABatch(t *testing.T) {
	c, store := locked(t, nil)
	batches := batch.NewMemory()
	c.Manager().UseBatches(spool.BatchingOptions{Open: func(context.Context) (spool.BatchStore, error) { return batches, nil }})
	b, err := c.Batch(Reindex{"shoes"}, Reindex{"shoes"}, spool.With(Reindex{"shoes"}, spool.Unique("shoes"))).Dispatch(t.Context())
	if err != nil || owner(t, store, reindexLock) != "" {
		t.Fatalf("%v, the lock is %q's", err, owner(t, store, reindexLock))
	}
	mux, ran := spool.NewMux(), 0
	spool.Handle(mux, func(context.Context, Reindex) error { ran++; return nil })
	drain(t, c, mux)
	if b, err = b.Fresh(t.Context()); err != nil || ran != 3 || !b.Finished() {
		t.Errorf("%d members ran, %+v, %v", ran, b, err)
	}
}

// unsure is a backend whose jobs are stored, though it says so with an error.
type unsure struct{ *memqueue.Conn }

func (u unsure) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	if _, err := u.Conn.Push(ctx, queue, ms); err != nil {
		return nil, err
	}
	return nil, driver.ErrStored
}

// Jobs that are stored keep their locks, whatever else went wrong.
func TestUniqueStoredAllTheSame(t *testing.T) {
	store := cache.NewMemory()
	m := spool.NewManager(&spool.ManagerOptions{Locks: store})
	m.Add(spool.ConnectionConfig{Name: "mem", Open: func(context.Context) (driver.Conn, error) { return unsure{memqueue.New(nil)}, nil }})
	c := spool.NewClient(m, nil)
	if _, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"}); owner(t, store, reindexLock) == "" {
		t.Errorf("%v, and the lock is free", err)
	}
	refs, err := spool.DispatchAll(t.Context(), c, []Reindex{{"a"}, {"a"}, {"b"}})
	if !errors.Is(err, driver.ErrStored) || len(refs) != 3 || !refs[1].Skipped || owner(t, store, "laravel_unique_job:Reindex:b") != refs[2].UUID {
		t.Errorf("%+v, %v", refs, err)
	}
}

// Those behind the ones that are stored all the same are not left out, and none
// is missing.
func TestStoredAllTheSame(t *testing.T) {
	q := memqueue.New(nil)
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "mem", Deferred: true, Open: func(context.Context) (driver.Conn, error) { return unsure{q}, nil }})
	c := spool.NewClient(m, nil)
	jobs := make([]Refresh, 2500)
	refs, err := spool.DispatchAll(t.Context(), c, jobs)
	if n := pending(t, c, "mem"); !errors.Is(err, driver.ErrStored) || len(refs) != len(jobs) || n != int64(len(jobs)) || refs[2499].UUID == "" {
		t.Errorf("%v; %d of %d, %d are told of", err, n, len(jobs), len(refs))
	}
	ctx, end := spool.Deferred(t.Context())
	if _, err := spool.Dispatch(ctx, c, Refresh{}); err != nil {
		t.Fatal(err)
	}
	held, ok := errors.AsType[*spool.HeldError](end())
	if !ok || !errors.Is(held, driver.ErrStored) || len(held.Jobs) != 0 || strings.Contains(held.Error(), "not pushed") {
		t.Errorf("%+v", held)
	}
}

// narrow is a backend that takes two jobs of a push.
type narrow struct{ *memqueue.Conn }

func (n narrow) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	ids, err := n.Conn.Push(ctx, queue, ms[:min(len(ms), 2)])
	if len(ids) < len(ms) {
		err = errors.Join(err, errors.New("full"))
	}
	return ids, err
}

// What is told of a push that ends in the middle is told of the right jobs.
func TestUniqueInBulkUpToAnError(t *testing.T) {
	for name, skipped := range map[string]bool{"some skipped": true, "none skipped": false} {
		t.Run(name, func(t *testing.T) {
			store := cache.NewMemory()
			m := spool.NewManager(&spool.ManagerOptions{Locks: store})
			m.Add(spool.ConnectionConfig{Name: "mem", Open: func(context.Context) (driver.Conn, error) { return narrow{memqueue.New(nil)}, nil }})
			jobs := []Reindex{{"a"}, {"b"}, {"c"}, {"d"}}
			if skipped {
				jobs = []Reindex{{"a"}, {"a"}, {"b"}, {"b"}, {"c"}, {"d"}}
			}
			refs, err := spool.DispatchAll(t.Context(), spool.NewClient(m, nil), jobs)
			if err == nil || len(refs) != len(jobs)-2 {
				t.Fatalf("%v, %v", refs, err)
			}
			for i, r := range refs {
				if lock := owner(t, store, "laravel_unique_job:Reindex:"+jobs[i].Shop); r.Skipped != (skipped && i%2 == 1) || !r.Skipped && (lock != r.UUID || r.ID == "") {
					t.Errorf("job %d is %+v, its lock is %q's", i, r, lock)
				}
			}
			for _, shop := range []string{"c", "d"} {
				if o := owner(t, store, "laravel_unique_job:Reindex:"+shop); o != "" {
					t.Errorf("the lock of %s is %s's", shop, o)
				}
			}
		})
	}
}
