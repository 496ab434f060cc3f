package think

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/worker"
)

// upstream are cases in which think-queue breaks, by their numbers in
// docs/interop-think.md.
func upstream() []cell {
	return []cell{
		{name: "B1 B3 a null lease", show: nullLease, options: options{endure: true}},
		{name: "B4 B5 B6 B7 the first end counts", show: firstEnd},
		{name: "B9 released and failed at once", show: releasedOnItsLastTry},
		{name: "B11 B12 the failing listener keeps a job", show: keptByListener},
		{name: "B12 B13 failed without a listener", show: failedWithoutListener},
		{name: "B14 a panic", show: panics},
		{name: "B15 a job that nobody here knows", show: unknownJob},
		{name: "B16 jobs are never in between", show: neverInBetween},
		{name: "B17 a push tells its outcome", show: pushTells},
		{name: "B21 a job that kills its workers", show: poison},
	}
}

// TestUpstream shows that Spool does what was meant, on the same queue.
func TestUpstream(t *testing.T) {
	for _, b := range backends() {
		if b.profile == "tq3-legacy" {
			continue // it is tq3 with other keys
		}
		t.Run(b.profile+"/"+b.store, func(t *testing.T) {
			t.Parallel()
			redis := newRedisStore(t)
			for i, c := range upstream() {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.show(t, newPair(t, b, redis, i, c.options))
				})
			}
		})
	}
}

// push pushes a job from Go.
func (p *pair) push(m Mail, opts ...spool.DispatchOption) spool.Ref {
	p.t.Helper()
	ref, err := spool.Push(p.t.Context(), p.side().Client, "Mail", m, opts...)
	if err != nil {
		p.t.Fatal(err)
	}
	return ref
}

// driver is Spool's side of the queue.
func (p *pair) driver() driver.Conn {
	p.t.Helper()
	conn, err := p.side().Manager.Connection(p.t.Context(), "")
	if err != nil {
		p.t.Fatal(err)
	}
	return conn.Driver()
}

// Without a lease delayed jobs come all the same, and PHP's workers don't take
// what Go is running (but on tables, where their own expire decides).
func nullLease(t *testing.T, p *pair) {
	p.push(Mail{N: 1}, spool.Delay(time.Second))
	eventually(t, "the delayed job", func() bool {
		rs, err := p.driver().Reserve(t.Context(), "default", 1)
		if err != nil {
			t.Fatal(err)
		}
		return len(rs) == 1
	})
	entries, _, err := p.driver().(driver.Lister).List(t.Context(), "default", driver.Reserved, "", 10)
	if err != nil || len(entries) != 1 || entries[0].Expired {
		t.Fatalf("reserved are %+v, %v", entries, err)
	}
	p.peer("work", "--stop-when-empty")
	if n := len(p.reports()); n != 0 {
		t.Errorf("PHP ran %d jobs that Go holds", n)
	}
}

// One outcome counts for each delivery, and the job is there once or not at all.
func firstEnd(t *testing.T, p *pair) {
	ends := []struct {
		end  func(*spool.Job) error
		left int64
	}{
		{func(*spool.Job) error { return nil }, 0},
		{func(j *spool.Job) error { j.Delete(); j.Release(time.Hour); return nil }, 0},
		{func(j *spool.Job) error { j.Release(time.Hour); j.Release(time.Hour); return nil }, 1},
		{func(j *spool.Job) error { j.Release(time.Hour); j.Delete(); return nil }, 1},
		{func(j *spool.Job) error { j.Release(time.Hour); return errors.New("after its release") }, 1},
	}
	want := int64(0)
	for i, e := range ends {
		p.push(Mail{N: int64(i)})
		var s seen
		mux := spool.NewMux()
		mux.HandleFunc("Mail", s.handle("mail", e.end))
		p.workGo(mux, func(o *worker.Options) { o.MaxJobs, o.Concurrency = 1, 1 })
		if want += e.left; p.size() != want || len(s.jobs) != 1 {
			t.Errorf("end %d: %d jobs are there, want %d; run were %v", i, p.size(), want, s.jobs)
		}
	}
}

func releasedOnItsLastTry(t *testing.T, p *pair) {
	p.push(Mail{N: 1}, spool.Tries(1))
	mux := spool.NewMux()
	mux.HandleFunc("Mail", func(_ context.Context, j *spool.Job) error {
		j.Release(time.Hour)
		return errors.New("on its last try")
	})
	res := p.workGo(mux, func(o *worker.Options) { o.MaxJobs, o.Concurrency = 1, 1 })
	if n := p.size() + int64(p.failed()); n != 1 {
		t.Errorf("the job is there %d times, %d of them failed; the worker counted %d failed", n, p.failed(), res.Failed)
	}
}

// failed is how many failed jobs are on record.
func (p *pair) failed() int {
	p.t.Helper()
	store, err := p.side().Failed(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	n, err := store.Count(p.t.Context(), failed.Filter{})
	if err != nil {
		p.t.Fatal(err)
	}
	return int(n)
}

// A hook queue_failed that answers false leaves the job on the queue: so does a
// listener of JobFailing that keeps it.
func keptByListener(t *testing.T, p *pair) {
	p.push(Mail{N: 1})
	mux := spool.NewMux()
	mux.HandleFunc("Mail", func(context.Context, *spool.Job) error { return errors.New("缺货") })
	set := p.spool(mux)
	defer p.close(set)
	spool.Listen(set.Manager.Events(), func(_ context.Context, e *spool.JobFailing) { e.Keep(0) })
	conn, err := set.Manager.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	o, err := set.WorkerOptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o.Memory = 0 // the process is that of all tests
	o.MaxJobs, o.Concurrency, o.Policy.Tries = 1, 1, new(1)
	if res, err := worker.New(conn, mux, o).Run(t.Context()); err != nil || res.Failed != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	if p.failed() != 0 || p.size() != 1 {
		t.Errorf("%d jobs failed, %d are there", p.failed(), p.size())
	}
	eventually(t, "PHP's run of the kept job", func() bool {
		p.peer("work", "--stop-when-empty")
		return len(p.reports()) == 1
	})
	if p.attempts()[0] != 2 {
		t.Errorf("PHP saw attempts %v", p.attempts())
	}
}

// Failing needs no listener, is recorded in every version, and tells the
// handler what went wrong; what its callback does then harms nobody.
func failedWithoutListener(t *testing.T, p *pair) {
	p.push(Mail{N: 7})
	var told []string
	mux := spool.NewMux()
	spool.Handle(mux, func(context.Context, Mail) error { return errors.New("缺货") },
		spool.OnFailed(func(_ context.Context, m Mail, err error) error {
			told = append(told, fmt.Sprint(m.N, " ", err))
			panic("in the callback")
		}))
	res := p.workGo(mux, func(o *worker.Options) { o.Policy.Tries = new(2) })
	if res.Failed != 1 || p.failed() != 1 || p.size() != 0 || !slices.Equal(told, []string{"7 缺货"}) {
		t.Errorf("%+v, %d on record, %d left, told %q", res, p.failed(), p.size(), told)
	}
}

func panics(t *testing.T, p *pair) {
	p.push(Mail{N: 1})
	var s seen
	mux := spool.NewMux()
	mux.HandleFunc("Mail", s.handle("mail", func(j *spool.Job) error {
		if j.Attempt == 1 {
			panic("缺货")
		}
		return nil
	}))
	eventually(t, "the second attempt", func() bool {
		p.workGo(mux, nil)
		return len(s.jobs) == 2
	})
	if !slices.Equal(s.jobs, []string{"mail 1", "mail 2"}) || p.size() != 0 {
		t.Errorf("Go saw %v, %d are left", s.jobs, p.size())
	}
}

// A class that Go doesn't know is neither "Processed" nor failed: PHP runs it.
func unknownJob(t *testing.T, p *pair) {
	p.peer("push", "Mail", `{"n":1}`, "default")
	mux := spool.NewMux()
	mux.HandleFunc("Other", func(context.Context, *spool.Job) error { return nil })
	if res := p.workGo(mux, func(o *worker.Options) { o.Policy.Tries = new(1) }); res.Failed != 0 {
		t.Fatalf("%+v", res)
	}
	eventually(t, "PHP's run", func() bool {
		p.peer("work", "--stop-when-empty", "--tries=1")
		return len(p.reports()) == 1
	})
	if !slices.Equal(p.attempts(), []int{1}) {
		t.Errorf("PHP saw attempts %v", p.attempts())
	}
}

// Whoever looks while jobs are reserved and released sees each of them.
func neverInBetween(t *testing.T, p *pair) {
	const n = 5
	for i := range n {
		p.push(Mail{N: int64(i)})
	}
	mux := spool.NewMux()
	var mu sync.Mutex
	runs := 0
	mux.HandleFunc("Mail", func(_ context.Context, j *spool.Job) error {
		mu.Lock()
		defer mu.Unlock()
		runs++
		return spool.Release(0)
	})
	p.running(mux)
	looks := 0
	eventually(t, "many releases", func() bool {
		for range 50 {
			if total := p.size(); total != n {
				t.Fatalf("%d of %d jobs are there", total, n)
			}
			looks++
		}
		mu.Lock()
		defer mu.Unlock()
		return runs >= 20
	})
	t.Logf("%d looks during %d runs", looks, runs)
}

func pushTells(t *testing.T, p *pair) {
	for _, opts := range [][]spool.DispatchOption{nil, {spool.Delay(time.Hour)}} {
		if ref := p.push(Mail{N: 1}, opts...); ref.ID == "" || ref.UUID == "" {
			t.Errorf("a push returns %+v", ref)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ref, err := spool.Push(ctx, p.side().Client, "Mail", Mail{N: 1}); err == nil {
		t.Errorf("a push that didn't get through returns %+v", ref)
	}
	if n := p.size(); n != 2 {
		t.Errorf("%d jobs are there", n)
	}
}

// An attempt counts when it begins: a job whose workers die fails in the end.
func poison(t *testing.T, p *pair) {
	p.push(Mail{N: 1})
	for range 2 { // workers that are never heard of again
		eventually(t, "the job", func() bool {
			rs, err := p.driver().Reserve(t.Context(), "default", 1)
			if err != nil {
				t.Fatal(err)
			}
			return len(rs) == 1
		})
	}
	var s seen
	mux := spool.NewMux()
	mux.HandleFunc("Mail", s.handle("mail", nil))
	eventually(t, "the failure", func() bool {
		p.workGo(mux, func(o *worker.Options) { o.Policy.Tries = new(2) })
		return p.failed() == 1
	})
	if len(s.jobs) != 0 || p.size() != 0 {
		t.Errorf("it ran: %v; %d are left", s.jobs, p.size())
	}
}
