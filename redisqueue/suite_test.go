package redisqueue

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/driver/drivertest"
	"github.com/spoolq/spool/internal/testserver"
)

func TestConformance(t *testing.T) {
	for _, layout := range []Layout{Laravel(), ThinkQueue1(), ThinkQueue3Legacy(), ThinkQueue3()} {
		t.Run(layout.Name, func(t *testing.T) {
			t.Parallel()
			conform(t, layout)
		})
	}
}

func conform(t *testing.T, layout Layout) {
	addr := testserver.Redis(t)
	prefix := "suite_" + rand.Text() + "_"
	another := func(t *testing.T, keep bool) driver.Conn {
		c, err := New(open(t, addr), &Options{Prefix: prefix, Layout: &layout, RetryAfter: driver.MinLease, KeepExpired: keep})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		return drivertest.Harness{
			Conn:        another(t, false),
			Second:      func(t *testing.T) driver.Conn { return another(t, false) },
			KeepExpired: func(t *testing.T) driver.Conn { return another(t, true) },
			WakeWithin:  time.Second,
			CountsNext:  layout.CountsNext,
		}
	})
}
