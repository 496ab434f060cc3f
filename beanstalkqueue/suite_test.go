package beanstalkqueue

import (
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/driver/drivertest"
	"github.com/spoolq/spool/internal/testserver"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	addr := testserver.Beanstalkd(t)
	another := func(t *testing.T) driver.Conn {
		return open(t, addr, &Options{RetryAfter: driver.MinLease})
	}
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		return drivertest.Harness{
			Conn:             another(t),
			Second:           another,
			WakeWithin:       time.Second,
			OldestFirst:      true,
			LeasesEndOnClose: true,
		}
	})
}

// TestConformanceWithoutWaiters is the part of the suite that differs where
// Wait can't block in the server.
func TestConformanceWithoutWaiters(t *testing.T) {
	t.Parallel()
	addr := testserver.Beanstalkd(t)
	another := func(t *testing.T) driver.Conn {
		return open(t, addr, &Options{RetryAfter: driver.MinLease, Connections: 1})
	}
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		return drivertest.Harness{
			Conn:             another(t),
			Second:           another,
			WakeWithin:       time.Second,
			Jobs:             200,
			OldestFirst:      true,
			LeasesEndOnClose: true,
		}
	})
}
