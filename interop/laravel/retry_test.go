package laravel

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/retry"
	"github.com/spoolq/spool/worker"
)

// TestRetry: a job is tried by one side and then by the other, and each obeys
// what the other's side has said about it.
func TestRetry(t *testing.T) {
	short := map[string]string{"RETRY_AFTER": "3"}
	matrix(t,
		cell{name: "backoff set by PHP", show: func(t *testing.T, a *application) {
			a.push("backoff", 1)
			backoffs(t, a, true)
		}},
		cell{name: "backoff set by Go", show: func(t *testing.T, a *application) {
			trial(t, a, "throw", spool.Tries(3), spool.Backoff(time.Second, 3*time.Second))
			backoffs(t, a, false)
		}},
		cell{name: "retryUntil set by PHP", show: func(t *testing.T, a *application) {
			a.push("retry until", 1)
			untils(t, a, true)
		}},
		cell{name: "retryUntil set by Go", env: map[string]string{"SPOOL_LARAVEL": "13"}, show: func(t *testing.T, a *application) {
			trial(t, a, "throw", spool.Tries(1), spool.RetryUntil(time.Now().Add(span)))
			untils(t, a, false)
		}},
		cell{name: "maxExceptions set by PHP", show: func(t *testing.T, a *application) {
			a.push("exceptions", 1)
			exceptions(t, a, true)
		}},
		cell{name: "maxExceptions set by Go", show: func(t *testing.T, a *application) {
			trial(t, a, "throw", spool.Tries(9), spool.MaxExceptions(2))
			exceptions(t, a, false)
		}},
		cell{name: "timeout set by PHP", env: short, show: func(t *testing.T, a *application) {
			a.push("timeout", 1)
			timeouts(t, a, false)
		}},
		cell{name: "timeout set by Go", env: short, show: func(t *testing.T, a *application) {
			trial(t, a, "sleep", spool.Tries(2), spool.Timeout(time.Second))
			timeouts(t, a, true)
		}},
	)
}

// killed is the exit code of a process that was killed, as PHP's worker does to
// itself when a job takes too long.
const killed = -1

const trialJob = `App\Jobs\Trial`

// trial has Go push a trial. What it says of itself is in the payload only, so
// that PHP can't know it from the object.
func trial(t *testing.T, a *application, does string, opts ...spool.DispatchOption) {
	t.Helper()
	job := laravel.NewCommand(trialJob, laravel.Public("does", does))
	if _, err := spool.Dispatch(t.Context(), a.spool(nil).Client, job, opts...); err != nil {
		t.Fatal(err)
	}
}

// attempt is one run of a job, by either side.
type attempt struct {
	number int
	at     time.Time
}

// triedByPHP has PHP's worker run one job, and returns that run. The worker
// ends with this exit code.
func (a *application) triedByPHP(code int) attempt {
	a.t.Helper()
	before := len(a.attempts())
	p := a.start("queue:work", "--max-jobs=1", "--sleep=0.1")
	if got := p.exitCode(); got != code {
		a.t.Fatalf("PHP's worker ended with %d, want %d", got, code)
	}
	after := a.attempts()
	if len(after) != before+1 {
		a.t.Fatalf("PHP made %d attempts, want one", len(after)-before)
	}
	return after[before]
}

// attempts are those that PHP made.
func (a *application) attempts() []attempt {
	a.t.Helper()
	var all []attempt
	for _, r := range a.reports() {
		if r.Event == "attempt" {
			all = append(all, attempt{r.Attempt, time.UnixMicro(int64(r.Time * 1e6))})
		}
	}
	return all
}

// triedByGo has Spool's worker run one job, and returns that run: at once with
// an error, or, if sleeps, when its time is up.
func (a *application) triedByGo(sleeps bool) attempt {
	a.t.Helper()
	var run attempt
	res := a.workTrial(func(ctx context.Context, job *spool.Job) error {
		run = attempt{job.Attempt, time.Now()}
		if sleeps {
			select {
			case <-ctx.Done():
				if !errors.Is(context.Cause(ctx), worker.ErrTimeout) {
					a.t.Errorf("the context ended for %v", context.Cause(ctx))
				}
				return ctx.Err()
			case <-time.After(patience):
			}
		}
		return errors.New("not yet")
	})
	if run.number == 0 {
		a.t.Fatalf("the handler wasn't called; the worker ended with %+v", res)
	}
	return run
}

// workTrial has Spool's worker take one job.
func (a *application) workTrial(fn spool.HandlerFunc) worker.Result {
	a.t.Helper()
	mux := spool.NewMux()
	mux.HandleFunc(trialJob, fn)
	return a.startGo(mux, func(o *worker.Options) { o.MaxJobs, o.Sleep = 1, 100*time.Millisecond }).result()
}

// are checks the numbers of attempts.
func are(t *testing.T, runs ...attempt) {
	t.Helper()
	for i, r := range runs {
		if r.number != i+1 {
			t.Errorf("attempt %d has the number %d", i+1, r.number)
		}
	}
}

// waited checks that there was at least so long between two attempts. Stores
// and PHP count whole seconds, so a wait of n of them may begin in one.
func waited(t *testing.T, first, second attempt, least time.Duration) {
	t.Helper()
	if d := second.at.Sub(first.at); d < least-time.Second || second.at.Unix()-first.at.Unix() < int64(least/time.Second) {
		t.Errorf("attempt %d came %v after attempt %d, want %v", second.number, d, first.number, least)
	}
}

// failure returns the one failed job's exception.
func (a *application) failure() string {
	a.t.Helper()
	store, err := a.spool(nil).Failed(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	page, _, err := store.List(a.t.Context(), failed.Filter{}, "", 10)
	if err != nil || len(page) != 1 {
		a.t.Fatalf("%d failed jobs, want one: %v", len(page), err)
	}
	return page[0].Exception
}

// backoffs runs the three attempts of a job that waits 1 and then 3 seconds:
// the first and the third on one side, the second on the other.
func backoffs(t *testing.T, a *application, phpFirst bool) {
	var one, two, three attempt
	if phpFirst {
		one, two, three = a.triedByPHP(0), a.triedByGo(false), a.triedByPHP(0)
	} else {
		one, two, three = a.triedByGo(false), a.triedByPHP(0), a.triedByGo(false)
	}
	are(t, one, two, three)
	waited(t, one, two, time.Second)
	waited(t, two, three, 3*time.Second)
	if e := a.failure(); !strings.Contains(e, "not yet") {
		t.Errorf("failed with %.200s", e)
	}
	a.isEmpty("")
}

// span is how long the jobs of "retry until" may be retried; as in
// app/kinds/trial.php.
const span = 8 * time.Second

// untils runs a job of one try that may be retried for some seconds: until then
// both sides try it again, and after it neither does. When it is retried by hand,
// its deadline moves by its span: Go can't ask the job's class for a new one.
func untils(t *testing.T, a *application, goLast bool) {
	pushed := time.Now()
	if goLast {
		are(t, a.triedByGo(false), a.triedByPHP(0))
	} else {
		are(t, a.triedByPHP(0), a.triedByGo(false))
	}
	over := pushed.Add(span + 2*time.Second)
	await(t, "the time to retry in is over", func() bool { return time.Now().After(over) })
	before := len(a.attempts())
	if goLast {
		a.workTrial(func(context.Context, *spool.Job) error {
			t.Error("Go has run the job after its time")
			return nil
		})
	} else {
		a.work()
	}
	if n := len(a.attempts()) - before; n > 0 {
		t.Error("PHP has run the job after its time")
	}
	if e := a.failure(); !strings.Contains(e, "attempted too many times") {
		t.Errorf("failed with %.200s", e)
	}
	a.isEmpty("")

	want := 24 * time.Hour // of a payload that doesn't say when it was made
	if !goLast {
		want = span
	}
	moved(t, a, want)
	if goLast {
		are(t, a.triedByPHP(0))
	} else {
		are(t, a.triedByGo(false))
	}
}

// moved retries the failed job by Spool and checks that it may be retried for so
// long from now.
func moved(t *testing.T, a *application, want time.Duration) {
	t.Helper()
	set := a.spool(nil)
	store, err := set.Failed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	page, _, err := store.List(t.Context(), failed.Filter{}, "", 10)
	if err != nil || len(page) != 1 {
		t.Fatalf("%d failed jobs, want one: %v", len(page), err)
	}
	conn, err := set.Manager.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	body, err := conn.Format.Retry(page[0].Payload, before)
	if err != nil {
		t.Fatal(err)
	}
	p, err := conn.Format.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Policy.RetryUntil.Sub(before); d < want-2*time.Second || d > want+2*time.Second {
		t.Errorf("a retry may be tried for %v, want %v", d, want)
	}
	if err := retry.All(t.Context(), set.Manager, store, failed.Filter{}, nil); err != nil {
		t.Fatal(err)
	}
}

// exceptions runs a job that may throw twice, once on each side: they count in
// the same place.
func exceptions(t *testing.T, a *application, goLast bool) {
	if goLast {
		are(t, a.triedByPHP(0), a.triedByGo(false))
	} else {
		are(t, a.triedByGo(false), a.triedByPHP(0))
	}
	if e := a.failure(); !strings.Contains(e, "not yet") {
		t.Errorf("failed with %.200s", e)
	}
	a.isEmpty("")
}

// timeouts runs a job of two tries that takes longer than the second it may. PHP
// kills its own worker then, and the job comes back when its
// reservation ends; Go's handler returns, and its job comes back at once.
func timeouts(t *testing.T, a *application, phpFirst bool) {
	begun := time.Now()
	var one, two attempt
	if phpFirst {
		one = a.triedByPHP(killed)
		two = a.triedByGo(true)
	} else {
		one = a.triedByGo(true)
		two = a.triedByPHP(killed)
	}
	are(t, one, two)
	if d := time.Since(begun); d < 2*time.Second || d > 30*time.Second {
		t.Errorf("two attempts of a second took %v", d)
	}
	if e := a.failure(); !strings.Contains(e, "timed out") && !strings.Contains(e, "too many times") {
		t.Errorf("failed with %.200s", e)
	}
	a.isEmpty("")
}
