package laravel

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/worker"
)

// TestNames: PHP and Go share a queue, and each has jobs of its own on it.
func TestNames(t *testing.T) {
	matrix(t,
		cell{name: "Go takes its own and leaves PHP's untouched", on: []string{"redis", "database"}, show: leavesOthers},
		cell{name: "Go takes classes by name, also after PHP", on: []string{"redis", "database"}, show: takesClasses},
		cell{name: "Go finds its own behind 10,000 of PHP's", on: []string{"phpredis", "mysql"}, show: findsBehind},
		cell{name: "Go puts back what it doesn't know", show: putsBack},
	)
}

// goJob is a job that only Go knows.
const goJob = "emails.send"

// mixed are n jobs of each of PHP's and Go's own, by turns.
func mixed(n int) []stringJobOf {
	var jobs []stringJobOf
	for i := 1; i <= n; i++ {
		jobs = append(jobs, stringJobOf{sample(i), stringJob}, stringJobOf{sample(i), goJob})
	}
	return jobs
}

// halves returns the uuids of mixed jobs, PHP's and Go's.
func halves(uuids []string) (phps, gos []string) {
	for i, uuid := range uuids {
		if i%2 == 0 {
			phps = append(phps, uuid)
		} else {
			gos = append(gos, uuid)
		}
	}
	return phps, gos
}

// ownNames has a worker take the jobs that mux knows.
func ownNames(mux *spool.Mux) func(*worker.Options) {
	return func(o *worker.Options) { o.Only = mux.Names() }
}

// untouched checks that these jobs wait, in this order and as if nobody had seen
// them.
func (a *application) untouched(uuids []string) {
	a.t.Helper()
	conn, err := a.spool(nil).Manager.Connection(a.t.Context(), "")
	if err != nil {
		a.t.Fatal(err)
	}
	var got []string
	for cursor := ""; ; {
		entries, next, err := conn.List(a.t.Context(), "", driver.Pending, cursor, 1000)
		if err != nil {
			a.t.Fatal(err)
		}
		for _, e := range entries {
			p, err := conn.Format.Decode(e.Body)
			if err != nil {
				a.t.Fatal(err)
			}
			if e.Attempts != 0 || p.Attempts != 0 {
				a.t.Fatalf("a job has %d attempts: %s", e.Attempts, e.Body)
			}
			got = append(got, p.UUID)
		}
		if cursor = next; next == "" {
			break
		}
	}
	if !slices.Equal(got, uuids) {
		a.t.Errorf("%d jobs wait, or in another order than the %d that should", len(got), len(uuids))
	}
	size, err := conn.Size(a.t.Context(), "")
	if err != nil || size.Delayed != 0 || size.Reserved != 0 {
		a.t.Errorf("%+v, %v", size, err)
	}
}

func leavesOthers(t *testing.T, a *application) {
	phps, gos := halves(dispatch(t, a, mixed(a.many())))
	var s seen
	mux := handling(goJob, s.handle(nil))
	if res := a.workGo(mux, ownNames(mux)); res.Processed != int64(len(gos)) || res.Failed != 0 {
		t.Errorf("the worker ended with %+v", res)
	}
	s.are(t, samples(a.many()))
	a.untouched(phps)
	phpRuns(t, a, phps)
	a.isEmpty("")
}

// takesClasses shows that the name of a class is found in what PHP writes, in an
// encrypted job, and in what a worker of PHP's makes of a payload on Redis.
func takesClasses(t *testing.T, a *application) {
	a.push("class", few, "string", few, "secret", 1, "backoff", 1)
	var s seen
	mux := handling(classJob, s.handle(nil))
	if res := a.workGo(mux, ownNames(mux)); res.Processed != few {
		t.Errorf("the worker ended with %+v", res)
	}
	s.are(t, samples(few))
	a.work("--max-jobs=5") // the string jobs and the secret, and the first attempt of the last
	if n := len(a.reports()); n != few+2 {
		t.Fatalf("PHP ran %d jobs, want %d", n, few+2)
	}
	a.push("class", few, "secret", 1)
	names := spool.NewMux()
	ran := make(chan string, 10)
	for _, name := range []string{trialJob, `App\Jobs\Secret`} {
		names.HandleFunc(name, func(_ context.Context, job *spool.Job) error {
			ran <- fmt.Sprint(job.Name, " ", job.Attempt)
			return nil
		})
	}
	run := a.startGo(names, ownNames(names), func(o *worker.Options) { o.MaxJobs, o.Sleep = 2, 100*time.Millisecond })
	if res := run.result(); res.Processed != 2 {
		t.Errorf("the worker ended with %+v", res)
	}
	got := []string{<-ran, <-ran}
	slices.Sort(got)
	if want := []string{`App\Jobs\Secret 1`, trialJob + " 2"}; !slices.Equal(got, want) {
		t.Errorf("Go ran %q, want %q", got, want)
	}
	if n := a.left(); n != few {
		t.Errorf("%d jobs are left, want %d", n, few)
	}
}

func findsBehind(t *testing.T, a *application) {
	const before, own = 10_000, 1000
	foreign := make([]stringJobOf, before)
	for i := range foreign {
		foreign[i] = stringJobOf{sample(i + 1), stringJob}
	}
	phps := dispatch(t, a, foreign)
	more, _ := halves(dispatch(t, a, mixed(own)))
	var s seen
	mux := handling(goJob, s.handle(nil))
	begun := time.Now()
	if res := a.workGo(mux, ownNames(mux)); res.Processed != own {
		t.Errorf("the worker ended with %+v", res)
	}
	t.Logf("%d jobs behind %d others took %v", own, before, time.Since(begun))
	s.are(t, samples(own))
	a.untouched(slices.Concat(phps, more))
}

// putsBack has a worker that isn't told names share the queue with PHP's: what it
// doesn't know costs no attempt where the store can undo a delivery.
func putsBack(t *testing.T, a *application) {
	const n = 100
	phps, _ := halves(dispatch(t, a, mixed(n)))
	var s seen
	mux := handling(goJob, s.handle(nil))
	run := a.startGo(mux, func(o *worker.Options) { o.Sleep = 100 * time.Millisecond })
	await(t, "Go's jobs are done", func() bool { return run.ended() || s.count() == n })
	run.stop()
	run.result()
	s.are(t, samples(n))
	php := a.start("queue:work", "--sleep=0.1", "--tries=0")
	await(t, "PHP's jobs are done", func() bool { return php.ended() || len(a.reports()) >= n })
	var ran []string
	for _, r := range a.reports() {
		ran = append(ran, r.UUID)
		if r.Attempt != 1 && a.backend.kind != "beanstalkd" { // whose server counts
			t.Errorf("PHP ran a job as attempt %d", r.Attempt)
		}
	}
	slices.Sort(ran)
	slices.Sort(phps)
	if d := cmp.Diff(phps, ran); d != "" {
		t.Errorf("PHP's jobs (-pushed +run)\n%.2000s", d)
	}
	left := a.lefts()
	await(t, "the last job is deleted", func() bool { return left() == 0 })
}

// left is how many jobs are on the default queue.
func (a *application) left() int64 {
	a.t.Helper()
	return a.lefts()()
}

// lefts returns a left for those who ask often: over one connection.
func (a *application) lefts() func() int64 {
	a.t.Helper()
	conn, err := a.spool(nil).Manager.Connection(a.t.Context(), "")
	if err != nil {
		a.t.Fatal(err)
	}
	return func() int64 {
		a.t.Helper()
		size, err := conn.Size(a.t.Context(), "")
		if err != nil {
			a.t.Fatal(err)
		}
		return size.Total()
	}
}

// count is how many orders came so far.
func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.orders)
}
