package beanstalkqueue

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// open returns a connection; it is closed with the test.
func open(t testing.TB, addr string, o *Options) *Conn {
	t.Helper()
	c, err := Open(t.Context(), addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// tube returns the name of a tube that is the test's own.
func tube() string { return "t-" + strings.ToLower(rand.Text()[:10]) }

func push(t testing.TB, c *Conn, queue string, bodies ...string) {
	t.Helper()
	ms := make([]driver.Message, len(bodies))
	for i, b := range bodies {
		ms[i].Body = []byte(b)
	}
	if _, err := c.Push(context.Background(), queue, ms); err != nil {
		t.Fatal("Push:", err)
	}
}

// reserve takes exactly n jobs.
func reserve(t testing.TB, c *Conn, queue string, n int) []driver.Reservation {
	t.Helper()
	rs, err := c.Reserve(context.Background(), queue, n)
	if err != nil || len(rs) != n {
		t.Fatalf("Reserve returned %d jobs and %v, want %d", len(rs), err, n)
	}
	return rs
}
