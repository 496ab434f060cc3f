package worker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/worker"
)

// dice decides by chance, the same for the same seed as far as goroutines are
// scheduled alike.
type dice struct {
	mu  sync.Mutex
	rng *rand.Rand
	off atomic.Bool
}

// roll returns true n times in a hundred, until the dice are off.
func (d *dice) roll(n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.off.Load() && d.rng.IntN(100) < n
}

func (d *dice) upTo(t time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Duration(d.rng.Int64N(int64(t)))
}

// breakDown puts faults on every verb of a backend.
func (d *dice) breakDown(f *faulty) {
	f.reserve = func(rs []driver.Reservation) ([]driver.Reservation, error) {
		if d.roll(10) {
			time.Sleep(d.upTo(12 * time.Second))
		}
		if d.roll(10) {
			return rs, errServer
		}
		return rs, nil
	}
	f.settle = func(string) (bool, error) {
		if d.roll(10) {
			time.Sleep(d.upTo(15 * time.Second))
		}
		if d.roll(20) {
			return d.roll(50), errServer
		}
		return false, nil
	}
	f.extend = func(ctx context.Context) error {
		switch {
		case d.roll(10):
			<-ctx.Done()
			return ctx.Err()
		case d.roll(5):
			time.Sleep(d.upTo(20 * time.Second))
		case d.roll(20):
			return errServer
		}
		return nil
	}
}

// handler is one of the handlers that there are.
func (d *dice) handler(ctx context.Context, _ *spool.Job) error {
	switch {
	case d.roll(10):
		runtime.Goexit()
	case d.roll(10):
		panic("no")
	case d.roll(20):
		return errors.New("boom")
	case d.roll(10):
		return spool.Release(d.upTo(5 * time.Second))
	case d.roll(5):
		return spool.Fail(nil)
	case d.roll(30):
		select {
		case <-time.After(d.upTo(time.Minute)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Whatever fails: a job ends, or is recorded, or is still there; and no two
// runs of it overlap, as long as the first wasn't told to end.
func TestNoFaultLosesAJobOrRunsItTwiceAtATime(t *testing.T) {
	const jobs, workers = 40, 3
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &dice{rng: rand.New(rand.NewPCG(seed, 1))}
				r := newRig(t)
				f := onFaulty(t, r)
				d.breakDown(f)
				var mu sync.Mutex
				done := map[string]bool{}
				var runs atomic.Int64
				r.handle(watch(t, &runs, func(ctx context.Context, j *spool.Job) error {
					err := d.handler(ctx, j)
					if err == nil {
						mu.Lock()
						defer mu.Unlock()
						done[j.UUID] = true
					}
					return err
				}), spool.Tries(3), spool.Timeout(20*time.Second), spool.Backoff(time.Second))
				r.opts.Failed = &sore{r.opts.Failed, func() error {
					if d.roll(30) {
						return errServer
					}
					return nil
				}}
				var refs []spool.Ref
				for range jobs {
					refs = append(refs, r.push(t))
				}
				time.AfterFunc(5*time.Minute, func() { d.off.Store(true) })
				var wg sync.WaitGroup
				for range workers {
					wg.Go(func() {
						for end := time.Now().Add(15 * time.Minute); time.Now().Before(end); {
							ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+d.upTo(time.Minute))
							o := r.opts
							o.Grace = d.upTo(5 * time.Second)
							if _, err := worker.New(r.conn, r.mux, &o).Run(ctx); err != nil {
								t.Error(err)
							}
							cancel()
						}
					})
				}
				wg.Wait()
				if n := r.size(t, "").Total(); n != 0 {
					t.Errorf("%d jobs are still there", n)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, ref := range refs {
					_, err := r.opts.Failed.Find(t.Context(), ref.UUID)
					if recorded := !errors.Is(err, failed.ErrNotFound); !recorded && !done[ref.UUID] {
						t.Errorf("job %s is lost", ref.UUID)
					}
				}
				t.Logf("%d jobs in %d runs, %d done", jobs, runs.Load(), len(done))
			})
		})
	}
}
