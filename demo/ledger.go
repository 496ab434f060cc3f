package demo

import (
	"context"
	"sync"
	"time"

	"github.com/spoolq/spool"
)

// fate is what is to become of a job.
type fate struct {
	runs  int // of its handler, in all
	fails int // how often it fails for good
	delay time.Duration
	// retry removes the reason of its failure, after which it is put back by
	// hand; nil if nobody retries it.
	retry func()
}

// ledger keeps the books of a run apart from the queue's own: what was pushed,
// every run of a handler, and every end. Methods are safe for concurrent use.
type ledger struct {
	settled chan struct{} // closed when every job has come to its end

	mu       sync.Mutex
	jobs     map[string]*account // by uuid
	total    map[string]*Count   // by queue
	open     int                 // jobs without an end
	complete bool                // all are pushed
	ahead    string              // what is being done
	active   int                 // handlers that run
	steps    int64
	began    time.Time
	problems problems
}

// account is what happened to one job.
type account struct {
	name, queue string
	due         time.Time // when it could first run
	fate        fate
	adopted     bool // left by an earlier run
	attempt     int  // the last that began, in this life
	runs, fails int
	running     bool
	ended       bool
	waited      bool // its wait is known
}

func newLedger() *ledger {
	l := &ledger{settled: make(chan struct{}), jobs: map[string]*account{}, total: map[string]*Count{}, began: time.Now()}
	for _, q := range Queues() {
		l.total[q] = &Count{Queue: q}
	}
	return l
}

// pushed enters jobs that a queue has accepted.
func (l *ledger) pushed(refs []spool.Ref, f fate, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ref := range refs {
		l.add(ref.UUID, &account{queue: ref.Queue, due: at.Add(f.delay), fate: f})
	}
}

// adopted enters a job that was there before.
func (l *ledger) adopted(uuid, name, queue string, due time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.jobs[uuid] != nil { // it has moved while we looked
		return
	}
	if due.Before(l.began) {
		due = l.began
	}
	l.add(uuid, &account{name: name, queue: queue, due: due, adopted: true})
	l.total[queue].Adopted++
}

func (l *ledger) add(uuid string, a *account) {
	l.jobs[uuid] = a
	l.open++
	l.steps++
	if !a.adopted {
		l.total[a.queue].Pushed++
	}
}

// allPushed says that no more are coming.
func (l *ledger) allPushed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.complete = true
	l.settle(0)
}

// settle closes n accounts.
func (l *ledger) settle(n int) {
	l.steps++
	if l.open -= n; l.open == 0 && l.complete {
		select {
		case <-l.settled:
		default:
			close(l.settled)
		}
	}
}

// watch is the middleware that enters every run.
func (l *ledger) watch(next spool.HandlerFunc) spool.HandlerFunc {
	return func(ctx context.Context, job *spool.Job) error {
		began := time.Now()
		l.begins(job, began)
		defer func() { l.returns(job, time.Since(began)) }()
		return next(ctx, job)
	}
}

func (l *ledger) begins(job *spool.Job, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active++
	l.steps++
	a := l.jobs[job.UUID]
	switch {
	case a == nil:
		l.problems.add("a job %s on %s was run that this demo did not push (%s)", job.Name, job.Queue, job.UUID)
		return
	case a.ended:
		l.problems.add("%s was run again after its end", a.text(job.UUID, job.Name))
	case a.running:
		l.problems.add("%s was run twice at the same time", a.text(job.UUID, job.Name))
	case job.Attempt <= a.attempt:
		l.problems.add("%s was run twice as attempt %d", a.text(job.UUID, job.Name), job.Attempt)
	}
	a.name, a.attempt, a.running = job.Name, job.Attempt, true
	a.runs++
	if !a.waited {
		a.waited = true
		l.total[a.queue].Wait.add(max(now.Sub(a.due), 0))
	}
}

func (l *ledger) returns(job *spool.Job, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active--
	l.steps++
	if a := l.jobs[job.UUID]; a != nil {
		a.running = false
		l.total[a.queue].Runs++
		l.total[a.queue].Run.add(d)
	}
}

// processed enters that a job is done.
func (l *ledger) processed(job *spool.Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.jobs[job.UUID]; a != nil && l.ends(a, job) {
		l.total[a.queue].Processed++
	}
}

// released enters that a job went back to its queue, and says whether it is
// one of ours.
func (l *ledger) released(job *spool.Job) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.jobs[job.UUID]
	if a == nil {
		return false
	}
	l.steps++
	l.total[a.queue].Released++
	return true
}

// fell enters that a job has failed for good, and says whether it is one of
// ours, and to be retried.
func (l *ledger) fell(job *spool.Job) (known, retry bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.jobs[job.UUID]
	if a == nil {
		return false, false
	}
	a.fails++
	l.total[a.queue].Failed++
	if a.fate.retry != nil && a.fails == 1 {
		l.steps++
		return true, true
	}
	l.ends(a, job)
	return true, false
}

// ends closes the account of a job, once.
func (l *ledger) ends(a *account, job *spool.Job) bool {
	if a.ended {
		l.problems.add("%s came to an end twice", a.text(job.UUID, job.Name))
		l.steps++
		return false
	}
	a.ended = true
	l.settle(1)
	return true
}

// retrying begins a new life of a failed job, the reason of its failure gone.
func (l *ledger) retrying(uuid string) (name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.jobs[uuid]
	a.attempt = 0
	a.fate.retry()
	l.steps++
	l.total[a.queue].Failed--
	l.total[a.queue].Retried++
	return a.name
}

func (l *ledger) knows(uuid string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.jobs[uuid] != nil
}

// changes is a number that differs when anything has happened.
func (l *ledger) changes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.steps
}

func (l *ledger) running() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active
}

func (l *ledger) phase(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead = name
}

// view is what the screen shows.
type view struct {
	phase   string
	elapsed time.Duration
	running int
	queues  []Count
}

// look returns the state of things.
func (l *ledger) look() view {
	l.mu.Lock()
	defer l.mu.Unlock()
	return view{phase: l.ahead, elapsed: time.Since(l.began), running: l.active, queues: l.counts()}
}

// counts returns the counts by queue.
func (l *ledger) counts() []Count {
	var cs []Count
	for _, q := range Queues() {
		cs = append(cs, *l.total[q])
	}
	return cs
}
