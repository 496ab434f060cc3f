package think

import (
	"context"
	"encoding/json"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/redisdb"
	"github.com/spoolq/spool/redisqueue"

	"github.com/spoolq/spool/internal/testserver"
)

// What other producers have written is counted as think-queue counts it, and
// where think-queue loses it, it is kept, byte for byte.
func TestForeignPayloads(t *testing.T) {
	host, port, err := net.SplitHostPort(testserver.Redis(t))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	client, err := redisdb.Open(t.Context(), redisdb.Options{Host: host, Port: n})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	for version, layout := range map[string]redisqueue.Layout{"v2.0.4": redisqueue.ThinkQueue1(), "v3.0.9": redisqueue.ThinkQueue3()} {
		t.Run(version, func(t *testing.T) {
			c, err := redisqueue.New(client, &redisqueue.Options{Prefix: "foreign_" + version + "_", Layout: &layout, RetryAfter: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			counted, lost := 0, 0
			for _, s := range recordings(t, version, "redis")["foreign"].Steps {
				name, call, _ := strings.Cut(s.Step, ": ")
				if call != "pop" || s.Given == nil {
					continue
				}
				body := given(t, s)
				r := one(t, c, name, body)
				if string(r.Body) != body {
					t.Errorf("%s: %q became %q", name, body, r.Body)
				}
				var attempts float64
				if s.Job != nil {
					attempts, _ = s.Job.Attempts.(float64)
				}
				switch {
				case attempts > 0 && r.Attempts != int(attempts):
					t.Errorf("%s: attempt %d, think-queue's is %v", name, r.Attempts, attempts)
				case attempts > 0:
					counted++
				default:
					lost++ // by think-queue, now or when it is released
				}
				if err := c.Release(t.Context(), []driver.Reservation{r}, 0); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				again := take(t, c, name)
				if again.Attempts != r.Attempts+1 && json.Valid([]byte(body)) && strings.HasPrefix(strings.TrimSpace(body), "{") {
					t.Errorf("%s: attempt %d comes after %d", name, again.Attempts, r.Attempts)
				}
				if err := c.Return(t.Context(), []driver.Reservation{again}, 0); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if last := take(t, c, name); last.Attempts != again.Attempts {
					t.Errorf("%s: after a return it is attempt %d, not %d", name, last.Attempts, again.Attempts)
				}
			}
			if counted < 10 || lost < 3 {
				t.Errorf("%d were compared, and %d lost by think-queue", counted, lost)
			}
		})
	}
}

// one pushes a body to a queue of its own and takes it.
func one(t *testing.T, c *redisqueue.Conn, queue, body string) driver.Reservation {
	t.Helper()
	if _, err := c.Push(t.Context(), queue, []driver.Message{{Body: []byte(body)}}); err != nil {
		t.Fatalf("%s: %v", queue, err)
	}
	return take(t, c, queue)
}

func take(t *testing.T, c *redisqueue.Conn, queue string) driver.Reservation {
	t.Helper()
	rs, err := c.Reserve(context.Background(), queue, 10)
	if err != nil || len(rs) != 1 {
		t.Fatalf("%s: %d jobs, %v", queue, len(rs), err)
	}
	return rs[0]
}
