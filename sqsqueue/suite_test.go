package sqsqueue

import (
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/driver/drivertest"
	"github.com/spoolq/spool/internal/testserver"
)

func TestConformance(t *testing.T) {
	endpoint := testserver.SQS(t)
	open := func(t *testing.T) driver.Conn { return connect(t, endpoint, nil) }
	creator := connect(t, endpoint, nil)
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		return drivertest.Harness{
			Conn:   open(t),
			Second: open,
			Queue: func(t *testing.T, queue string) string {
				create(t, creator, queue)
				return queue
			},
			WakeWithin:        time.Second,
			Jobs:              600,
			BestEffortFencing: true,
			Unordered:         true,
			Estimates:         true,
		}
	})
}
