package worker

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
)

func TestSlept(t *testing.T) {
	for _, c := range []struct {
		name            string
		wall, monotonic time.Duration
		want            bool
	}{
		{"time goes by", 10 * time.Second, 10 * time.Second, false},
		{"the clocks drift", 10*time.Second + 20*time.Millisecond, 10 * time.Second, false},
		{"the machine was suspended", time.Hour, 10 * time.Second, true},
		{"the wall clock was put back", -time.Hour, 10 * time.Second, false},
	} {
		if got := slept(c.wall, c.monotonic); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

// A wall clock that jumps must not end a lease or prolong it: every time that
// the keeper acts by has to carry the monotonic clock.
func TestTheKeepersTimesAreMonotonic(t *testing.T) {
	mem := memqueue.New(nil)
	k := newKeeper(mem, slog.New(slog.NewTextHandler(io.Discard, nil)), time.Second)
	tk := &task{}
	k.hold([]*task{tk}, time.Now())
	k.running(tk, time.Minute)
	check := func(name string, at time.Time) {
		t.Helper()
		if !strings.Contains(at.String(), " m=") {
			t.Errorf("%s is %v: it follows the wall clock", name, at)
		}
	}
	check("renewAt", tk.renewAt)
	check("guardAt", tk.guardAt)
	check("dueAt", tk.dueAt)
	check("next", k.next)
	k.cancel(tk, ErrTimeout)
	check("stuckAt", tk.stuckAt)
	k.extended(tk, time.Now(), context.DeadlineExceeded)
	check("renewAt after a failure", tk.renewAt)
}

func TestMargins(t *testing.T) {
	for _, c := range []struct {
		traits        driver.Traits
		margin, renew time.Duration
	}{
		{driver.Traits{Lease: 90 * time.Second, Renew: 30 * time.Second, Resolution: time.Second}, 18 * time.Second, 30 * time.Second},
		{driver.Traits{Lease: 90 * time.Second, Renew: 15 * time.Second, Resolution: time.Second}, 18 * time.Second, 15 * time.Second},
		{driver.Traits{Lease: 3 * time.Second, Resolution: time.Second}, 2 * time.Second, 500 * time.Millisecond},
		{driver.Traits{Lease: 3 * time.Second, Resolution: time.Nanosecond}, time.Second, time.Second},
	} {
		if m, r := leaseMargin(c.traits), renewEvery(c.traits); m != c.margin || r != c.renew {
			t.Errorf("lease %v: margin %v, renewed every %v; want %v and %v", c.traits.Lease, m, r, c.margin, c.renew)
		}
	}
}
