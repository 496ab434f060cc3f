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
	for name, change := range map[string]func(*Options){
		"prefix":  nil,
		"suffix":  func(o *Options) { o.Suffix = "-live" },
		"by name": func(o *Options) { o.Prefix = "" },
	} {
		if name != "prefix" && testing.Short() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open := func(t *testing.T) driver.Conn { return connect(t, endpoint, change) }
			drivertest.Run(t, func(t *testing.T) drivertest.Harness {
				return drivertest.Harness{
					Conn:   open(t),
					Second: open,
					Queue: func(t *testing.T, queue string) string {
						c := connect(t, endpoint, change)
						create(t, c, suffixed(queue, c.opts.Suffix))
						return queue
					},
					WakeWithin:        time.Second,
					Jobs:              600,
					BestEffortFencing: true,
					Unordered:         true,
				}
			})
		})
	}
}
