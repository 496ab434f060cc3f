package nullqueue_test

import (
	"testing"

	"github.com/spoolq/spool/driver/drivertest"
	"github.com/spoolq/spool/nullqueue"
)

func TestConformance(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivertest.Harness {
		return drivertest.Harness{Conn: nullqueue.New(), Discards: true}
	})
}
