package worker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// counting is a backend whose server counts deliveries and can't undo one.
type counting struct {
	driver.Conn
	driver.Waiter
	driver.Extender
}

func TestAReturnIsNotHeldAgainstTriesWhereTheServerCounts(t *testing.T) {
	for name, cached := range map[string]bool{"counted in the cache": true, "counted in this process": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				mem := r.conn.Driver()
				c, err := spool.Connect(counting{mem, mem.(driver.Waiter), mem.(driver.Extender)}).Manager().Connection(t.Context(), "")
				if err != nil {
					t.Fatal(err)
				}
				r.conn = c
				if !cached {
					r.opts.Signals = nil
				}
				r.push(t)
				met, ran := 0, 0
				r.mux.Fallback(func(string) *spool.Handler {
					if met++; met < 4 {
						return nil // as a worker of an older release: put back
					}
					return &spool.Handler{Run: func(_ context.Context, j *spool.Job) error {
						if ran++; j.Attempt != 1 {
							t.Errorf("attempt %d, want 1", j.Attempt)
						}
						return nil
					}}
				})
				if res := r.work(t, time.Minute); res.Failed != 0 || ran != 1 {
					t.Errorf("%+v, ran %d times; want one run on its only try", res, ran)
				}
			})
		})
	}
}

// A job that a middleware turns away is delivered again as if for the first
// time, however often, on backends that can undo a delivery and on others.
func TestAJobThatIsTurnedAwayKeepsItsTries(t *testing.T) {
	for name, counts := range map[string]bool{"the server counts": true, "a delivery can be undone": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				if counts {
					mem := r.conn.Driver()
					c, err := spool.Connect(counting{mem, mem.(driver.Waiter), mem.(driver.Extender)}).Manager().Connection(t.Context(), "")
					if err != nil {
						t.Fatal(err)
					}
					r.conn = c
				}
				r.push(t)
				turned, ran := 0, 0
				begun := time.Now()
				r.mux.Fallback(func(string) *spool.Handler {
					return &spool.Handler{Policy: spool.Policy{MaxExceptions: 1}, Run: func(_ context.Context, j *spool.Job) error {
						if turned++; turned <= 5 {
							return spool.GiveBack(10*time.Second, nil)
						}
						if ran++; j.Attempt != 1 || time.Since(begun) < 50*time.Second {
							t.Errorf("attempt %d after %v", j.Attempt, time.Since(begun))
						}
						return nil
					}}
				})
				if res := r.work(t, 10*time.Minute); res.Failed != 0 || res.Processed != 1 || ran != 1 {
					t.Errorf("%+v, ran %d times; want one run on its only try", res, ran)
				}
			})
		})
	}
}
