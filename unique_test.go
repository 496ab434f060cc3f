package spool_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/syncqueue"
	"github.com/spoolq/spool/worker"
)

type Reindex struct{ Shop string }

func (r Reindex) UniqueID() string { return r.Shop }

const reindexLock = "laravel_unique_job:Reindex:shoes"

// brittle is a store of locks that can fail.
type brittle struct {
	*cache.Memory
	failing atomic.Int32 // how many calls of Release fail
}

func (b *brittle) Release(ctx context.Context, name, owner string) (bool, error) {
	if b.failing.Add(-1) >= 0 {
		return false, errors.New("store is down")
	}
	return b.Memory.Release(ctx, name, owner)
}

// locked is a client with one queue in memory and its store of locks.
func locked(t *testing.T, format spool.Format) (*spool.Client, *brittle) {
	t.Helper()
	store := &brittle{Memory: cache.NewMemory()}
	m := spool.NewManager(&spool.ManagerOptions{Locks: store, Signals: store})
	m.Add(spool.ConnectionConfig{Name: "mem", Format: format, Open: func(context.Context) (driver.Conn, error) { return memqueue.New(nil), nil }})
	t.Cleanup(func() { _ = m.Close() })
	return spool.NewClient(m, nil), store
}

// drain works a client's queue until it is empty.
func drain(t *testing.T, c *spool.Client, mux *spool.Mux) worker.Result {
	t.Helper()
	conn, err := c.Manager().Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	res, err := worker.New(conn, mux, &worker.Options{StopWhenEmpty: true, Concurrency: 1}).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func owner(t *testing.T, l spool.Locks, name string) string {
	t.Helper()
	o, err := l.Owner(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestUniqueJobIsSkippedUntilItsEnd(t *testing.T) {
	for name, end := range map[string]func(job *spool.Job) error{
		"done":    func(*spool.Job) error { return nil },
		"deleted": func(job *spool.Job) error { job.Delete(); return errors.New("whatever") },
		"failed":  func(*spool.Job) error { return errors.New("for good") },
		"by hand": func(*spool.Job) error { return spool.Fail(nil) },
		"panic":   func(*spool.Job) error { panic("no") },
	} {
		t.Run(name, func(t *testing.T) {
			c, store := locked(t, nil)
			var skipped []string
			spool.Listen(c.Manager().Events(), func(_ context.Context, e spool.UniqueJobSkipped) { skipped = append(skipped, e.Name+" "+e.Key) })
			first, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"})
			if err != nil || first.Skipped || first.UUID != owner(t, store, reindexLock) {
				t.Fatalf("the first is %+v, %v; the lock is %q's", first, err, owner(t, store, reindexLock))
			}
			second, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"})
			if d := cmp.Diff(spool.Ref{Connection: "mem", Queue: "default", Skipped: true}, second); d != "" || err != nil {
				t.Errorf("the second: %v\n%s", err, d)
			}
			if d := cmp.Diff([]string{"Reindex " + reindexLock}, skipped); d != "" {
				t.Error(d)
			}
			if other, err := spool.Dispatch(t.Context(), c, Reindex{"hats"}); err != nil || other.Skipped {
				t.Errorf("another id: %+v, %v", other, err)
			}
			mux, held := spool.NewMux(), ""
			spool.Handle(mux, func(ctx context.Context, r Reindex) error {
				if r.Shop == "shoes" {
					held = owner(t, store, reindexLock)
				}
				return end(spool.JobFrom(ctx))
			})
			drain(t, c, mux)
			if held != first.UUID {
				t.Errorf("while the job runs the lock is %q's", held)
			}
			if o := owner(t, store, reindexLock); o != "" {
				t.Errorf("after the job's end the lock is %s's", o)
			}
		})
	}
}

func TestUniqueLockStaysOverRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, store := locked(t, nil)
		ref, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"})
		if err != nil {
			t.Fatal(err)
		}
		mux, runs := spool.NewMux(), 0
		spool.Handle(mux, func(context.Context, Reindex) error {
			if runs++; runs == 1 {
				return spool.Release(time.Hour)
			}
			return nil
		}, spool.Tries(3))
		drain(t, c, mux)
		if o := owner(t, store, reindexLock); o != ref.UUID {
			t.Errorf("after the release the lock is %q's", o)
		}
		time.Sleep(time.Hour)
		drain(t, c, mux)
		if o := owner(t, store, reindexLock); o != "" || runs != 2 {
			t.Errorf("after %d runs the lock is %q's", runs, o)
		}
	})
}

func TestUniqueUntilProcessing(t *testing.T) {
	c, store := locked(t, nil)
	if _, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"}, spool.UniqueUntilProcessing()); err != nil {
		t.Fatal(err)
	}
	mux, runs := spool.NewMux(), 0
	spool.Handle(mux, func(ctx context.Context, r Reindex) error {
		if runs++; runs > 1 {
			return nil
		}
		next, err := spool.Dispatch(ctx, c, r, spool.UniqueUntilProcessing())
		if err != nil || next.Skipped || owner(t, store, reindexLock) != next.UUID {
			t.Errorf("from inside the job: %+v, %v", next, err)
		}
		return nil
	})
	if res := drain(t, c, mux); res.Processed != 2 || owner(t, store, reindexLock) != "" {
		t.Errorf("%+v, and the lock is %q's", res, owner(t, store, reindexLock))
	}
}

// A lock that outlived its job's time is another's by then.
func TestUniqueLockOfAnotherIsNotReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, store := locked(t, nil)
		if _, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"}, spool.UniqueFor(time.Minute)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		next, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"}, spool.Delay(time.Hour))
		if err != nil || next.Skipped {
			t.Fatalf("after the lock's time: %+v, %v", next, err)
		}
		mux := spool.NewMux()
		spool.Handle(mux, func(context.Context, Reindex) error { return nil })
		drain(t, c, mux)
		if o := owner(t, store, reindexLock); o != next.UUID {
			t.Errorf("the lock of the second is %q's", o)
		}
	})
}

// A producer that dies between lock and push leaves a lock that ends.
func TestUniqueLockOfADeadProducerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, store := locked(t, nil)
		if ok, err := store.Acquire(t.Context(), reindexLock, "dead", time.Hour); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if ref, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"}); err != nil || !ref.Skipped {
			t.Errorf("%+v, %v", ref, err)
		}
		time.Sleep(time.Hour)
		ref, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"}, spool.Delay(48*time.Hour))
		if err != nil || ref.Skipped {
			t.Errorf("%+v, %v", ref, err)
		}
		time.Sleep(72*time.Hour - time.Second) // a day beyond the delay
		if o := owner(t, store, reindexLock); o != ref.UUID {
			t.Errorf("the lock is %q's", o)
		}
		time.Sleep(time.Second)
		if o := owner(t, store, reindexLock); o != "" {
			t.Errorf("the lock is %q's still", o)
		}
	})
}

func TestUniqueLockIsGivenBackWhenThePushFails(t *testing.T) {
	down := errors.New("down")
	store := cache.NewMemory()
	m := spool.NewManager(&spool.ManagerOptions{Locks: store})
	m.Add(spool.ConnectionConfig{Name: "down", Open: func(context.Context) (driver.Conn, error) {
		return syncqueue.New(func(context.Context, string, []byte) error { return down }), nil
	}})
	c := spool.NewClient(m, nil)
	if ref, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"}); !errors.Is(err, down) || owner(t, store, reindexLock) != "" {
		t.Errorf("%+v, %v; the lock is %q's", ref, err, owner(t, store, reindexLock))
	}
	// Data that can't be encoded is no job either.
	if _, err := spool.Push(t.Context(), c, "x", make(chan int), spool.Unique("1")); err == nil || owner(t, store, "laravel_unique_job:x:1") != "" {
		t.Errorf("%v; the lock is %q's", err, owner(t, store, "laravel_unique_job:x:1"))
	}
}

func TestUniqueLockIsGivenBackOnRollback(t *testing.T) {
	_, db := shop(t, false)
	c, store := locked(t, nil)
	begin := func() *spool.Tx {
		t.Helper()
		tx, err := db.SQL().BeginTx(t.Context(), &sql.TxOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return c.InTx(tx)
	}
	tx := begin()
	if ref, err := spool.Dispatch(t.Context(), tx, Reindex{"shoes"}); err != nil || ref.Skipped {
		t.Fatal(ref, err)
	}
	if err := tx.Rollback(t.Context()); err != nil || owner(t, store, reindexLock) != "" {
		t.Errorf("%v; the lock is %q's", err, owner(t, store, reindexLock))
	}
	tx = begin()
	ref, err := spool.Dispatch(t.Context(), tx, Reindex{"shoes"})
	if err == nil {
		err = tx.Commit(t.Context())
	}
	if err != nil || owner(t, store, reindexLock) != ref.UUID {
		t.Errorf("%v; the lock is %q's", err, owner(t, store, reindexLock))
	}
}

func TestUniqueManyAtOnce(t *testing.T) {
	c, _ := locked(t, nil)
	var accepted atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			ref, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"})
			if err != nil {
				t.Error(err)
			}
			if !ref.Skipped {
				accepted.Add(1)
			}
		})
	}
	wg.Wait()
	if n := accepted.Load(); n != 1 || pending(t, c, "mem") != 1 {
		t.Errorf("%d accepted, %d queued", n, pending(t, c, "mem"))
	}
}

func TestUniqueInBulk(t *testing.T) {
	c, _ := locked(t, nil)
	refs, err := spool.DispatchAll(t.Context(), c, []Reindex{{"a"}, {"b"}, {"a"}, {"c"}, {"c"}})
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, r := range refs {
		if r.Skipped != (r.UUID == "") {
			t.Errorf("%+v", r)
		}
		got.WriteString(map[bool]string{true: "-", false: "x"}[r.Skipped])
	}
	if got.String() != "xx-x-" || pending(t, c, "mem") != 3 {
		t.Errorf("accepted %s, %d queued", got.String(), pending(t, c, "mem"))
	}
}

// The end of a job waits for its lock to be released.
func TestUniqueStoreIsDownAtTheEnd(t *testing.T) {
	c, store := locked(t, nil)
	if _, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"}); err != nil {
		t.Fatal(err)
	}
	store.failing.Store(2)
	mux, runs := spool.NewMux(), 0
	spool.Handle(mux, func(context.Context, Reindex) error { runs++; return nil })
	if res := drain(t, c, mux); res.Processed != 1 || runs != 1 || owner(t, store, reindexLock) != "" {
		t.Errorf("%+v after %d runs; the lock is %q's", res, runs, owner(t, store, reindexLock))
	}
}

func TestUniqueNeedsAStore(t *testing.T) {
	c := spool.Connect(memqueue.New(nil))
	if _, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"}); !errors.Is(err, spool.ErrNoLocks) {
		t.Errorf("%v", err)
	}
	if _, err := spool.Push(t.Context(), c, "x", nil, spool.Debounce(time.Second, "1")); !errors.Is(err, spool.ErrNoLocks) {
		t.Errorf("%v", err)
	}
	if _, err := spool.Push(t.Context(), c, "x", nil, spool.Debounce(time.Second, "1"), spool.Unique("1")); err == nil {
		t.Error("unique and debounced was accepted")
	}
}

// What each version of Laravel finds in the payload of a class job.
func TestUniqueClassJob(t *testing.T) {
	for version, want := range map[int]string{8: `laravel_unique_job:App\Jobs\Reindexshoes`, 11: `laravel_unique_job:App\Jobs\Reindex:shoes`, 13: `laravel_unique_job:App\Jobs\Reindex:shoes`} {
		f, err := laravel.New(&laravel.Options{Version: version})
		if err != nil {
			t.Fatal(err)
		}
		c, store := locked(t, f)
		var body []byte
		spool.Listen(c.Manager().Events(), func(_ context.Context, e spool.JobQueued) { body = e.Body })
		cmd := laravel.NewCommand(`App\Jobs\Reindex`, laravel.Public("shop", "shoes"))
		ref, err := spool.Dispatch(t.Context(), c, cmd, spool.Unique("shoes"))
		if err != nil || owner(t, store, want) != ref.UUID {
			t.Errorf("Laravel %d: %v, the lock is %q's", version, err, owner(t, store, want))
		}
		if has := strings.Contains(string(body), "uniqueLockOwner"); has != (version >= 13) {
			t.Errorf("Laravel %d: %s", version, body)
		}
		if cmd.UniqueLockOwner() != "" {
			t.Error("the caller's command was changed")
		}
		p, err := f.Decode(body)
		if d := cmp.Diff(&spool.Claim{Key: want, Owner: ref.UUID}, p.Unique); d != "" || err != nil {
			t.Errorf("Laravel %d: %v\n%s", version, err, d)
		}
	}
}

// PHP's own unique jobs: their handler knows the id, and frees the lock.
func TestUniqueJobOfPHP(t *testing.T) {
	const before13 = `{"uuid":"u1","displayName":"App\\Jobs\\Reindex","job":"Illuminate\\Queue\\CallQueuedHandler@call","data":{"commandName":"App\\Jobs\\Reindex","command":"O:16:\"App\\Jobs\\Reindex\":1:{s:4:\"shop\";s:5:\"shoes\";}"}}`
	const since13 = `{"uuid":"u1","displayName":"App\\Jobs\\Reindex","job":"Illuminate\\Queue\\CallQueuedHandler@call","data":{"commandName":"App\\Jobs\\Reindex","command":"O:16:\"App\\Jobs\\Reindex\":2:{s:4:\"shop\";s:5:\"shoes\";s:15:\"uniqueLockOwner\";s:3:\"php\";}"}}`
	for _, tt := range []struct {
		name, body, key, owner string
		version                int
		opts                   []spool.HandlerOption
		left                   string
	}{
		{"no owner: freed", before13, `laravel_unique_job:App\Jobs\Reindexshoes`, "php", 8, nil, ""},
		{"the owner's: released", since13, `laravel_unique_job:App\Jobs\Reindex:shoes`, "php", 13, nil, ""},
		{"another's: left", since13, `laravel_unique_job:App\Jobs\Reindex:shoes`, "other", 13, nil, "other"},
		{"until processing", before13, `laravel_unique_job:App\Jobs\Reindexshoes`, "php", 8, []spool.HandlerOption{spool.UniqueUntilProcessing()}, "next"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := laravel.New(&laravel.Options{Version: tt.version})
			if err != nil {
				t.Fatal(err)
			}
			c, store := locked(t, f)
			if ok, err := store.Acquire(t.Context(), tt.key, tt.owner, 0); !ok || err != nil {
				t.Fatal(ok, err)
			}
			conn, err := c.Manager().Connection(t.Context(), "")
			if err == nil {
				_, err = conn.PushRaw(t.Context(), "", []byte(tt.body), 0)
			}
			if err != nil {
				t.Fatal(err)
			}
			mux := spool.NewMux()
			spool.Handle(mux, func(ctx context.Context, _ Reindex) error {
				_, err := store.Acquire(ctx, tt.key, "next", 0)
				return err
			}, append(tt.opts, spool.Alias(`App\Jobs\Reindex`))...)
			drain(t, c, mux)
			if o := owner(t, store, tt.key); o != tt.left {
				t.Errorf("the lock is %q's, want %q", o, tt.left)
			}
		})
	}
}

// What has ended once may be told twice: the lock may be another's by then.
func TestUniqueLockIsReleasedOnce(t *testing.T) {
	c, store := locked(t, nil)
	ref, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"})
	if err != nil {
		t.Fatal(err)
	}
	job := &spool.Job{UUID: ref.UUID, Payload: &spool.Payload{UUID: ref.UUID, Unique: &spool.Claim{Key: reindexLock, Owner: ref.UUID}}}
	end := func() {
		t.Helper()
		for _, f := range c.Manager().Followers().For(job) {
			if err := f(t.Context(), job, nil); err != nil {
				t.Error(err)
			}
		}
	}
	end() // and the worker dies before the job is deleted
	next, err := spool.Dispatch(t.Context(), c, Reindex{"shoes"})
	if err != nil || next.Skipped {
		t.Fatal(next, err)
	}
	end() // of the second delivery
	if o := owner(t, store, reindexLock); o != next.UUID {
		t.Errorf("the lock is %q's", o)
	}
}
