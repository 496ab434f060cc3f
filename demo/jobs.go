package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spoolq/spool"
)

// SendReminder mails one customer. A job is a Go value: its fields are its
// data.
type SendReminder struct {
	Customer int `json:"customer"`
}

// BuildReport takes a while.
type BuildReport struct {
	Month int `json:"month"`
}

// ImportRows is one piece of a large import.
type ImportRows struct {
	File string `json:"file"`
	From int    `json:"from"`
	To   int    `json:"to"`
}

// SyncStock asks a warehouse that often doesn't answer at first.
type SyncStock struct {
	Warehouse string `json:"warehouse"`
}

// ChargeCard takes money from a card that may be declined.
type ChargeCard struct {
	Invoice string `json:"invoice"`
}

// A job's type is its name unless it says another. These do, so that the demo
// can tell its jobs from those of others.

// JobName implements [spool.Named].
func (SendReminder) JobName() string { return "demo.SendReminder" }

// JobName implements [spool.Named].
func (BuildReport) JobName() string { return "demo.BuildReport" }

// JobName implements [spool.Named].
func (ImportRows) JobName() string { return "demo.ImportRows" }

// JobName implements [spool.Named].
func (SyncStock) JobName() string { return "demo.SyncStock" }

// JobName implements [spool.Named].
func (ChargeCard) JobName() string { return "demo.ChargeCard" }

// handlers says what runs each job. What a job doesn't say itself when it is
// dispatched, its handler says here.
func (s *shop) handlers(watch spool.Middleware) *spool.Mux {
	mux := spool.NewMux()
	mux.Use(watch)
	spool.Handle(mux, s.sendReminder, spool.Tries(3))
	spool.Handle(mux, s.buildReport, spool.Tries(2), spool.Timeout(10*time.Second))
	spool.Handle(mux, s.importRows, spool.Tries(3))
	spool.Handle(mux, s.syncStock)
	spool.Handle(mux, s.chargeCard)
	return mux
}

func (s *shop) sendReminder(ctx context.Context, _ SendReminder) error {
	return busy(ctx, s.pause/2)
}

func (s *shop) buildReport(ctx context.Context, job BuildReport) error {
	return busy(ctx, time.Duration(300+50*(job.Month%12))*time.Millisecond)
}

func (s *shop) importRows(ctx context.Context, _ ImportRows) error {
	return busy(ctx, s.pause)
}

// syncStock fails twice and then works. An error is all it takes: the job is
// run again, after the backoff, as long as it has tries left.
func (s *shop) syncStock(ctx context.Context, job SyncStock) error {
	if spool.JobFrom(ctx).Attempt < 3 {
		return fmt.Errorf("the warehouse %s does not answer", job.Warehouse)
	}
	return busy(ctx, s.pause)
}

// chargeCard fails for good: it goes to the failed jobs, from where a person
// may retry it once its reason is gone.
func (s *shop) chargeCard(ctx context.Context, job ChargeCard) error {
	if s.isDeclined(job.Invoice) {
		return errDeclined
	}
	return busy(ctx, s.pause)
}

var errDeclined = errors.New("the card was declined")

// busy is where the work would be. It heeds ctx, which ends with the job's
// timeout, and when the worker has to stop.
func busy(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// push dispatches the jobs of the day, each sort with its own options, and
// says in the books what is to become of them.
func (s *shop) push(ctx context.Context, r *run) error {
	if s.jobs == 0 {
		r.books.allPushed()
		return nil
	}
	high, low := spool.OnQueue(High), spool.OnQueue(Low)
	d := &dispatcher{ctx: ctx, run: r}
	dispatch(d, fate{runs: 1}, s.pieces(), low)
	dispatch(d, fate{runs: 1}, s.reports(), low)
	dispatch(d, fate{runs: 3}, []SyncStock{{"north"}}, low, spool.Tries(3), spool.Backoff(time.Second))
	dispatch(d, fate{runs: 1}, s.reminders(), high)
	dispatch(d, fate{runs: 1, delay: s.delay}, []SendReminder{{Customer: 0}}, high, spool.Delay(s.delay))
	dispatch(d, fate{runs: 2, fails: 1}, []ChargeCard{{s.bad}}, high, spool.Tries(2), spool.Backoff(time.Second))
	dispatch(d, s.retried(r), []ChargeCard{{s.late}}, high, spool.Tries(1))
	r.books.allPushed()
	return d.err
}

// retried is the fate of the card that is declined at first: it fails, is
// retried by hand, and works. Without a record there is nothing to retry.
func (s *shop) retried(r *run) fate {
	if r.opts.Failed == nil {
		return fate{runs: 1, fails: 1}
	}
	return fate{runs: 2, fails: 1, retry: func() { s.pay(s.late) }}
}

// dispatcher remembers the first error, and dispatches nothing after it.
type dispatcher struct {
	ctx context.Context // of push, which it doesn't outlive
	run *run
	err error
}

// dispatch pushes jobs of one type in bulk: few round trips for many jobs. A
// single one would go out by spool.Dispatch.
func dispatch[T any](d *dispatcher, f fate, jobs []T, opts ...spool.DispatchOption) {
	opts = append(opts, spool.OnConnection(d.run.conn.Name))
	for some := range slices.Chunk(jobs, 1000) {
		if d.err != nil {
			return
		}
		began := time.Now()
		var refs []spool.Ref
		refs, d.err = spool.DispatchAll(d.ctx, d.run.client, some, opts...)
		d.run.books.pushed(refs, f, began)
	}
}

// shop is the small world in which the jobs make sense.
type shop struct {
	jobs      int           // to push
	hands     int           // how many run at a time
	pause     time.Duration // how long a small job takes
	delay     time.Duration // of the delayed one
	bad, late string        // invoices whose card is declined: for good, and at first

	mu       sync.Mutex
	declined map[string]bool
}

func newShop(jobs int) *shop {
	number := spool.NewUUID()[:8] // unlike that of any run before
	s := &shop{jobs: jobs, delay: 3 * time.Second, bad: number + "-1", late: number + "-2"}
	s.declined = map[string]bool{s.bad: true, s.late: true}
	return s
}

// hurry makes small jobs shorter the more there are, and has more of them run
// at a time.
func (s *shop) hurry(jobs int) {
	s.hands = min(max(10, jobs/50), 100)
	s.pause = min(60*time.Millisecond, 5*time.Second*time.Duration(s.hands)/time.Duration(max(jobs, 1)))
}

func (s *shop) isDeclined(invoice string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.declined[invoice]
}

func (s *shop) pay(invoice string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.declined, invoice)
}

// single is how many jobs push dispatches one by one.
const single = 4

func (s *shop) reports() []BuildReport {
	jobs := make([]BuildReport, min(max(s.jobs/40, 1), 24))
	for i := range jobs {
		jobs[i].Month = i + 1
	}
	return jobs
}

func (s *shop) pieces() []ImportRows {
	jobs := make([]ImportRows, (s.jobs-single-len(s.reports()))*2/3)
	for i := range jobs {
		jobs[i] = ImportRows{File: "customers.csv", From: 100*i + 1, To: 100 * (i + 1)}
	}
	return jobs
}

func (s *shop) reminders() []SendReminder {
	jobs := make([]SendReminder, s.jobs-single-len(s.reports())-len(s.pieces()))
	for i := range jobs {
		jobs[i].Customer = i + 1
	}
	return jobs
}
