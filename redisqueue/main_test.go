package redisqueue

import (
	"context"
	"crypto/rand"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/redisdb"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// open returns a client of the server at addr; it is closed with the test.
func open(t testing.TB, addr string) rueidis.Client {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	client, err := redisdb.Open(t.Context(), redisdb.Options{Host: host, Port: n, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// connect returns a connection with a prefix of its own.
func connect(t testing.TB, client rueidis.Client, o Options) *Conn {
	t.Helper()
	if o.Prefix == "" {
		o.Prefix = "t_" + strings.ToLower(rand.Text()) + "_"
	}
	c, err := New(client, &o)
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

func messages(bodies ...string) []driver.Message {
	ms := make([]driver.Message, len(bodies))
	for i, b := range bodies {
		ms[i] = driver.Message{ID: strconv.Itoa(i), Body: []byte(b)}
	}
	return ms
}

func push(t testing.TB, c *Conn, queue string, ms ...driver.Message) {
	t.Helper()
	if _, err := c.Push(context.Background(), queue, ms); err != nil {
		t.Fatal("Push:", err)
	}
}

func reserve(t testing.TB, c *Conn, queue string, n int) []driver.Reservation {
	t.Helper()
	rs, err := c.Reserve(context.Background(), queue, n)
	if err != nil {
		t.Fatal("Reserve:", err)
	}
	return rs
}
