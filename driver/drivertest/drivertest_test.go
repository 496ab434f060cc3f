package drivertest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/driver/drivertest"
	"github.com/spoolq/spool/memqueue"
)

// limited is a queue in memory that has every limit a backend may have and
// counts attempts inside the body, and does one thing wrong on demand.
type limited struct {
	*memqueue.Conn
	fault string
}

func (c limited) Traits() driver.Traits {
	t := c.Conn.Traits()
	t.Driver, t.CountsInBody, t.TextOnly = "limited", true, true
	t.MaxBody, t.MaxDelay = 64<<10, 15*time.Minute
	return t
}

func (c limited) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	if err := c.Traits().Check(ms); err != nil {
		if c.fault == "keeps part of what it refuses" {
			_, _ = c.Conn.Push(ctx, queue, ms[:1])
		}
		return nil, err
	}
	if c.fault == "is early" {
		for i := range ms {
			ms[i].Delay -= 50 * time.Millisecond
		}
	}
	return c.Conn.Push(ctx, queue, ms)
}

func (c limited) Reserve(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
	rs, err := c.Conn.Reserve(ctx, queue, max)
	return c.count(ctx, rs, err)
}

func (c limited) ReserveMatching(ctx context.Context, queue string, max int, s *driver.Selection) ([]driver.Reservation, error) {
	if c.fault == "takes what isn't wanted" {
		return c.Reserve(ctx, queue, max)
	}
	rs, err := c.Conn.ReserveMatching(ctx, queue, max, s)
	return c.count(ctx, rs, err)
}

// count writes the attempts into the bodies.
func (c limited) count(ctx context.Context, rs []driver.Reservation, err error) ([]driver.Reservation, error) {
	if c.fault == "strands what a cancelled reserve took" {
		time.Sleep(100 * time.Microsecond)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	for i, r := range rs {
		if c.fault == "counts at the first match" {
			rs[i].Body = bytes.Replace(r.Body, []byte(`"attempts":0`), fmtAttempts(r.Attempts), 1)
			continue
		}
		at, end := attemptsIn(r.Body)
		rs[i].Body = append(append(append([]byte{}, r.Body[:at]...), strconv.Itoa(r.Attempts)...), r.Body[end:]...)
	}
	return rs, err
}

func fmtAttempts(n int) []byte { return []byte(`"attempts":` + strconv.Itoa(n)) }

// attemptsIn returns where the value of the outermost member "attempts" stands.
func attemptsIn(body []byte) (at, end int) {
	d := json.NewDecoder(bytes.NewReader(body))
	depth, key := 0, true
	for {
		token, err := d.Token()
		if err != nil {
			panic(err) // the suite pushes JSON objects that have it
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			key = true
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
			key = true
			continue
		}
		if depth == 1 && key && token == "attempts" {
			at = int(d.InputOffset())
			at += bytes.IndexAny(body[at:], "0123456789")
			if _, err := d.Token(); err != nil {
				panic(err)
			}
			return at, int(d.InputOffset())
		}
		key = !key || depth != 1
	}
}

func (c limited) Delete(ctx context.Context, rs []driver.Reservation) error {
	err := c.Conn.Delete(ctx, rs)
	if c.fault == "is silent about what is lost" {
		return nil
	}
	return err
}

func (c limited) Release(ctx context.Context, rs []driver.Reservation, delay time.Duration) error {
	if m := c.Traits().MaxDelay; delay > m {
		return &driver.LimitError{What: "delay", Have: int64(delay), Max: int64(m)}
	}
	return c.Conn.Release(ctx, rs, delay)
}

func (c limited) Wait(ctx context.Context, queues []string, max time.Duration) error {
	if c.fault == "never sleeps" {
		return ctx.Err()
	}
	return c.Conn.Wait(ctx, queues, max)
}

func open(fault string) func(*testing.T) drivertest.Harness {
	return func(t *testing.T) drivertest.Harness {
		c := memqueue.New(&memqueue.Options{RetryAfter: driver.MinLease})
		t.Cleanup(func() { _ = c.Close() })
		return drivertest.Harness{Conn: limited{c, fault}}
	}
}

func TestDriverWithLimits(t *testing.T) { drivertest.Run(t, open("")) }

// faults says which case must notice what.
var faults = map[string]string{
	"keeps part of what it refuses":         "a body over the limit is refused with its batch",
	"is early":                              "a delayed job comes never early and on time",
	"strands what a cancelled reserve took": "a reserve cancelled mid-call loses nothing",
	"counts at the first match":             "bodies that look like attempts come back as they were",
	"is silent about what is lost":          "deleting twice is ErrLost",
	"never sleeps":                          "wait doesn't spin",
	"takes what isn't wanted":               "a selection takes what is wanted, in order, and leaves the rest alone",
}

const faultEnv = "DRIVERTEST_FAULT"

// TestFaulty runs the suite against a driver that does one thing wrong. It is
// run by TestFaultsAreCaught, which expects it to fail.
func TestFaulty(t *testing.T) {
	fault := os.Getenv(faultEnv)
	if fault == "" {
		return // it runs in a process of its own
	}
	drivertest.Run(t, open(fault))
}

func TestFaultsAreCaught(t *testing.T) {
	for fault, name := range faults {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			name = strings.ReplaceAll(name, " ", "_")
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.short", "-test.run=^TestFaulty$/^"+name+"$")
			cmd.Env = append(os.Environ(), faultEnv+"="+fault)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Errorf("a driver that %s passes %s", fault, name)
			} else if !strings.Contains(string(out), "--- FAIL: TestFaulty/"+name) {
				t.Errorf("the process ended with %v, and the case didn't fail:\n%s", err, out)
			}
		})
	}
}
