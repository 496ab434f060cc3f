package worker

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/spoolq/spool"
)

var (
	now  = time.Unix(1795174122, 0)
	boom = errors.New("boom")
)

func policy(opts ...spool.PolicyOption) spool.Policy {
	var p spool.Policy
	for _, o := range opts {
		o(&p)
	}
	return p
}

// The rows are named after Laravel's behaviour, or after Spool's where it
// differs.
func TestDecide(t *testing.T) {
	released := spool.Outcome{Kind: spool.Released, Delay: 7 * time.Second}
	tests := []struct {
		name    string
		p       spool.Policy
		attempt int
		e       ending
		want    action
		delay   time.Duration
	}{
		{"a handler that returns is done", policy(spool.Tries(1)), 1, ending{}, remove, 0},
		{"an exception is released", policy(spool.Tries(3)), 1, ending{err: boom}, release, 0},
		{"an exception on the last attempt fails", policy(spool.Tries(3)), 3, ending{err: boom}, fail, 0},
		{"an exception past the last attempt fails", policy(spool.Tries(3)), 4, ending{err: boom}, fail, 0},
		{"tries 0 is any number", policy(spool.Tries(0)), 1000, ending{err: boom}, release, 0},
		{"no tries at all is any number", policy(), 1000, ending{err: boom}, release, 0},
		{"backoff of the first attempt", policy(spool.Backoff(time.Second, time.Minute)), 1, ending{err: boom}, release, time.Second},
		{"backoff of the second attempt", policy(spool.Backoff(time.Second, time.Minute)), 2, ending{err: boom}, release, time.Minute},
		{"the last backoff repeats", policy(spool.Backoff(time.Second, time.Minute)), 9, ending{err: boom}, release, time.Minute},
		{"retryUntil to come beats tries", policy(spool.Tries(1), spool.RetryUntil(now.Add(time.Second))), 9, ending{err: boom}, release, 0},
		{"retryUntil reached fails", policy(spool.Tries(99), spool.RetryUntil(now)), 1, ending{err: boom}, fail, 0},
		{"retryUntil passed fails", policy(spool.RetryUntil(now.Add(-time.Second))), 1, ending{err: boom}, fail, 0},
		{"maxExceptions not reached", policy(spool.MaxExceptions(3)), 2, ending{err: boom, exceptions: 2}, release, 0},
		{"maxExceptions reached fails", policy(spool.MaxExceptions(3)), 9, ending{err: boom, exceptions: 3}, fail, 0},
		{"maxExceptions works beside retryUntil", policy(spool.MaxExceptions(1), spool.RetryUntil(now.Add(time.Hour))), 1, ending{err: boom, exceptions: 1}, fail, 0},
		{"a release keeps its delay", policy(spool.Tries(1)), 1, ending{outcome: released}, release, 7 * time.Second},
		{"a release is no exception", policy(spool.Tries(1), spool.MaxExceptions(1)), 9, ending{outcome: released}, release, 7 * time.Second},
		{"a job that was turned away is given back", policy(spool.Tries(1), spool.MaxExceptions(1)), 1, ending{outcome: spool.Outcome{Kind: spool.Returned, Delay: time.Minute}}, giveBack, time.Minute},
		{"one that was lost meanwhile is not", policy(), 1, ending{outcome: spool.Outcome{Kind: spool.Returned}, cause: ErrLeaseLost}, leave, 0},
		{"release, then an error: one outcome, the first", policy(spool.Tries(1)), 1, ending{outcome: released, err: boom}, release, 7 * time.Second},
		{"delete, then an error: deleted", policy(spool.Tries(1)), 1, ending{outcome: spool.Outcome{Kind: spool.Deleted}, err: boom}, remove, 0},
		{"fail by hand, whatever attempts are left", policy(spool.Tries(9)), 1, ending{outcome: spool.Outcome{Kind: spool.Failed, Err: boom}}, fail, 0},
		{"a timeout is released if attempts are left", policy(spool.Tries(2), spool.Backoff(time.Second)), 1, ending{err: boom, cause: ErrTimeout}, release, time.Second},
		{"a timeout on the last attempt fails", policy(spool.Tries(2)), 2, ending{err: boom, cause: ErrTimeout}, fail, 0},
		{"failOnTimeout fails at the first timeout", policy(spool.Tries(9), spool.FailOnTimeout()), 1, ending{err: boom, cause: ErrTimeout}, fail, 0},
		{"failOnTimeout is about timeouts only", policy(spool.Tries(9), spool.FailOnTimeout()), 1, ending{err: boom}, release, 0},
		{"done in spite of its timeout is done", policy(spool.Tries(1), spool.FailOnTimeout()), 1, ending{cause: ErrTimeout}, remove, 0},
		{"cancelled by a stop is handed back", policy(spool.Tries(1)), 1, ending{err: boom, cause: ErrStopping}, giveBack, 0},
		{"done in spite of a stop is done", policy(spool.Tries(1)), 1, ending{cause: ErrStopping}, remove, 0},
		{"released during a stop is released", policy(spool.Tries(1)), 1, ending{outcome: released, cause: ErrStopping}, release, 7 * time.Second},
		{"lost and cancelled writes nothing", policy(spool.Tries(1)), 1, ending{err: boom, cause: ErrLeaseLost}, leave, 0},
		{"lost and released writes nothing", policy(spool.Tries(1)), 1, ending{outcome: released, cause: ErrLeaseLost}, leave, 0},
		{"lost but done is deleted if nobody has it", policy(spool.Tries(1)), 1, ending{cause: ErrLeaseLost}, remove, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := decide(tt.p, tt.attempt, now, tt.e)
			if got.action != tt.want || got.delay != tt.delay {
				t.Errorf("got %v after %v, want %v after %v", got.action, got.delay, tt.want, tt.delay)
			}
			if got.action == fail && !errors.Is(got.err, boom) {
				t.Errorf("failed for %v, want the exception itself", got.err)
			}
		})
	}
}

func TestExhausted(t *testing.T) {
	tests := []struct {
		name    string
		p       spool.Policy
		attempt int
		want    bool
	}{
		{"the last attempt may run", policy(spool.Tries(3)), 3, false},
		{"one more may not", policy(spool.Tries(3)), 4, true},
		{"tries 0 may always", policy(spool.Tries(0)), 400, false},
		{"retryUntil to come beats tries", policy(spool.Tries(1), spool.RetryUntil(now.Add(time.Second))), 9, false},
		{"retryUntil this very second may still run", policy(spool.RetryUntil(now)), 1, false},
		{"retryUntil passed may not", policy(spool.RetryUntil(now.Add(-time.Second))), 1, true},
		{"tries below 0 may never", spool.Policy{Tries: new(-1)}, 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, at := range []time.Time{now, now.Add(time.Second - 1)} { // within one second of the wire
				if got := exhausted(tt.p, tt.attempt, at); got != tt.want {
					t.Errorf("got %v at %v", got, at)
				}
			}
		})
	}
}

func TestDecideStuck(t *testing.T) {
	tests := []struct {
		name    string
		p       spool.Policy
		attempt int
		thrown  int
		want    action
	}{
		{"attempts left: nothing is written while the process lives", policy(spool.Tries(3)), 1, 1, leave},
		{"no attempts left: failed at once", policy(spool.Tries(3)), 3, 3, fail},
		{"failOnTimeout: failed at once", policy(spool.Tries(3), spool.FailOnTimeout()), 1, 1, fail},
		{"maxExceptions not reached", policy(spool.Tries(9), spool.MaxExceptions(3)), 2, 2, leave},
		{"maxExceptions reached: failed at once", policy(spool.Tries(9), spool.MaxExceptions(3)), 3, 3, fail},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := decideStuck(tt.p, tt.attempt, now, tt.thrown, time.Minute)
			if got.action != tt.want || (got.action == fail) != errors.Is(got.err, ErrTimeout) {
				t.Errorf("got %v, %v", got.action, got.err)
			}
		})
	}
}

func TestUnknownDelayGrowsFromOneSecondToThirty(t *testing.T) {
	var got []time.Duration
	for n := 1; n <= 8; n++ {
		got = append(got, unknownDelay(n)/time.Second)
	}
	if fmt.Sprint(got) != fmt.Sprint([]time.Duration{1, 2, 4, 8, 16, 30, 30, 30}) {
		t.Errorf("got %v", got)
	}
}

func TestStop(t *testing.T) {
	tests := []struct {
		name   string
		o      Options
		s      state
		reason Reason
		code   int
	}{
		{"nothing to stop for", Options{}, state{looked: true, up: time.Hour, idle: time.Hour, started: 1000, memory: 1 << 40}, "", 0},
		{"a signal", Options{}, state{interrupted: true, restart: true}, Interrupted, 0},
		{"the memory limit, with its own exit code", Options{Memory: 128}, state{memory: 128}, MemoryReached, 12},
		{"below the memory limit", Options{Memory: 128}, state{memory: 127}, "", 0},
		{"memory beats restart", Options{Memory: 128}, state{memory: 200, restart: true}, MemoryReached, 12},
		{"the restart signal", Options{}, state{restart: true}, Restarting, 0},
		{"empty, when asked for", Options{StopWhenEmpty: true}, state{looked: true}, Empty, 0},
		{"not before a look", Options{StopWhenEmpty: true}, state{}, "", 0},
		{"not while jobs run that may push more", Options{StopWhenEmpty: true}, state{looked: true, running: 1}, "", 0},
		{"not when a job was found", Options{StopWhenEmpty: true}, state{looked: true, found: true}, "", 0},
		{"empty for so long", Options{StopWhenEmptyFor: time.Minute}, state{idle: time.Minute}, EmptyFor, 0},
		{"not empty for so long", Options{StopWhenEmptyFor: time.Minute}, state{idle: time.Minute - 1}, "", 0},
		{"running is not empty", Options{StopWhenEmptyFor: time.Minute}, state{idle: time.Hour, running: 1}, "", 0},
		{"max time", Options{MaxTime: time.Hour}, state{up: time.Hour}, MaxTime, 0},
		{"max jobs", Options{MaxJobs: 3}, state{started: 3}, MaxJobs, 0},
		{"max time before max jobs", Options{MaxJobs: 3, MaxTime: 1}, state{started: 3, up: 1}, MaxTime, 0},
		{"once, with a job", Options{Once: true}, state{looked: true, found: true, started: 1}, OnceDone, 0},
		{"once, without a job", Options{Once: true}, state{looked: true}, OnceDone, 0},
		{"a stuck handler", Options{}, state{stuck: true}, StuckHandlers, 1},
		{"a broken backend", Options{}, state{broken: true}, Broken, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reason, code, ok := stop(&tt.o, tt.s)
			if reason != tt.reason || code != tt.code || ok != (tt.reason != "") {
				t.Errorf("got %q with exit code %d (%v), want %q with %d", reason, code, ok, tt.reason, tt.code)
			}
		})
	}
}
