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
