package filequeue_test

import (
	"testing"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/driver/drivertest"
	"github.com/spoolq/spool/examples/filequeue"
)

func TestConformance(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Harness {
		dir := t.TempDir()
		open := func(t *testing.T) driver.Conn {
			conn, err := filequeue.Open(dir, &filequeue.Options{RetryAfter: driver.MinLease, NoSync: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			return conn
		}
		return drivertest.Harness{Conn: open(t), Second: open, Jobs: 500}
	})
}

func BenchmarkConn(b *testing.B) {
	conn, err := filequeue.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	drivertest.Benchmark(b, conn)
}
