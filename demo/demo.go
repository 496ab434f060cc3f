// Package demo is the command demo: a small shop's jobs, pushed, worked,
// retried, failed and retried again on a real store, with its own books to
// prove that none was lost and none ran twice.
//
// jobs.go is written to be read: it is what an application's own jobs and
// handlers look like. The rest keeps the books (ledger.go), shows how it goes
// (screen.go) and sums up (summary.go).
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/retry"
	"github.com/spoolq/spool/worker"
)

// The queues of the demo, in order of priority. It touches no other.
const (
	High = "demo-high"
	Low  = "demo"
)

// Queues returns the queues of the demo in order of priority.
func Queues() []string { return []string{High, Low} }

// MinJobs is the smallest number of jobs in which every sort has its place.
const MinJobs = 10

// Options are the options of [Run].
type Options struct {
	// Connection is the name of the connection; "" means the default one.
	Connection string
	// Jobs is how many to push: [MinJobs] or more, or 0 to push none and work
	// what an earlier run has left.
	Jobs int
	// Failed is where failed jobs are recorded; nil means nowhere, and then none
	// is retried.
	Failed failed.Store
	// Out is where the progress is shown; nil means nowhere. Run never writes
	// to it after it has returned.
	Out io.Writer
	// Width says how wide the terminal behind Out is; nil means that Out is none
	// and gets plain lines.
	Width func() int
	// Colour allows colours on a terminal.
	Colour bool
}

// ErrInUse says that the queues of the demo hold jobs that it must not touch.
var ErrInUse = errors.New("the demo's queues are in use")

// stall is how long nothing may happen before Run gives up.
const stall = 30 * time.Second

// Run pushes the jobs, works them until each has come to its end, and checks
// that the counts add up: what doesn't is in the Summary. The error is that of
// a backend that could not be used; the Summary then says how far it came.
// When ctx ends, Run stops within about two seconds and leaves the rest on the
// queues. On one connection only one Run may work at a time.
func Run(ctx context.Context, client *spool.Client, opts *Options) (*Summary, error) {
	conn, err := client.Manager().Connection(ctx, opts.Connection)
	if err != nil {
		return nil, err
	}
	if err := Usable(conn); err != nil {
		return nil, err
	}
	r := &run{
		client: client, conn: conn, opts: opts, books: newLedger(), begun: time.Now(),
		failed: make(chan string, 1), screen: newScreen(opts.Out, opts.Width, opts.Colour),
	}
	r.shop = newShop(opts.Jobs)
	if err := r.adopt(ctx); err != nil {
		return nil, err
	}
	r.shop.hurry(opts.Jobs + int(sum(r.books.look().queues).Adopted))
	r.listen(conn.Events())
	stop := r.screen.show(r.books.look)
	err = r.all(ctx)
	stop()
	interrupted := ctx.Err() != nil
	if interrupted {
		err = nil
	}
	s := r.summary(context.WithoutCancel(ctx), err == nil && !interrupted)
	s.Interrupted = interrupted
	return s, err
}

// Usable returns an error for a connection on which there is nothing to see.
// [Run] refuses it.
func Usable(conn *spool.Connection) error {
	switch t := conn.Driver().Traits(); {
	case t.Instant:
		return fmt.Errorf("connection %s runs jobs as they are pushed, so there is nothing to work; name another with --connection", conn.Name)
	case t.Driver == "null":
		return fmt.Errorf("connection %s drops every job, so there is nothing to work; name another with --connection", conn.Name)
	}
	return nil
}

// run is one run of the demo.
type run struct {
	client *spool.Client
	conn   *spool.Connection
	opts   *Options
	shop   *shop
	books  *ledger
	screen *screen
	begun  time.Time
	failed chan string // uuid of the job to retry, when it has failed
}

// all pushes and works.
func (r *run) all(ctx context.Context) error {
	r.books.phase("pushing")
	if err := r.shop.push(ctx, r); err != nil {
		return err
	}
	r.books.phase("working")
	w := worker.New(r.conn, r.shop.handlers(r.books.watch), &worker.Options{
		Name: "demo", Queues: Queues(), Concurrency: r.shop.hands, Failed: r.opts.Failed, Logger: r.logger(),
		Sleep: time.Second, Grace: 500 * time.Millisecond, CancelGrace: time.Second,
	})
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() {
		defer cancel()
		watched <- r.watch(ctx)
	}()
	_, err := w.Run(ctx)
	cancel()
	err = errors.Join(err, <-watched)
	r.books.phase("checking")
	return err
}

// watch waits until every job has come to its end, and retries the one that is
// to be retried. Jobs that are gone without one are never waited for.
func (r *run) watch(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, since, gone := int64(-1), time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.books.settled:
			return nil
		case uuid := <-r.failed:
			if err := r.retry(ctx, uuid); err != nil {
				return fmt.Errorf("retrying a failed job: %w", err)
			}
		case <-tick.C:
			if now := r.books.changes(); now != last {
				last, since, gone = now, time.Now(), 0
				continue
			}
			n, err := r.stored(ctx)
			if err == nil && n == 0 && r.books.running() == 0 {
				if gone++; gone > 1 { // a job on its way back is in neither place for a moment
					return nil // lost: the check will say which
				}
			}
			switch quiet := time.Since(since) > stall; {
			case quiet && err != nil:
				return fmt.Errorf("the store has not answered for %v: %w", stall, err)
			case quiet:
				return fmt.Errorf("nothing has happened for %v though jobs are waiting: does another worker hold them?", stall)
			}
		}
	}
}

// retry puts a failed job back, as queue:retry does.
func (r *run) retry(ctx context.Context, uuid string) error {
	recs, err := r.records(ctx)
	if err != nil {
		return err
	}
	rec, ok := recs[uuid]
	if !ok {
		return fmt.Errorf("there is no record of %s", uuid)
	}
	name := r.books.retrying(uuid)
	r.screen.event(yellow, "%s is put back by hand, as queue:retry does: the customer has paid meanwhile", name)
	return retry.Jobs(ctx, r.client.Manager(), r.opts.Failed, []failed.Record{rec}, func(o retry.Outcome) { err = o.Err })
}

// records returns the records of failed jobs of this run by their uuid.
func (r *run) records(ctx context.Context) (map[string]failed.Record, error) {
	recs := map[string]failed.Record{}
	for _, q := range Queues() {
		for cursor := ""; ; {
			f := failed.Filter{Connection: r.conn.Name, Queue: q, Since: r.begun.Add(-time.Minute)}
			page, next, err := r.opts.Failed.List(ctx, f, cursor, 0)
			if err != nil {
				return nil, err
			}
			for _, rec := range page {
				if p, err := r.conn.Format.Decode(rec.Payload); err == nil && r.books.knows(p.UUID) {
					recs[p.UUID] = rec
				}
			}
			if cursor = next; next == "" {
				break
			}
		}
	}
	return recs, nil
}

// stored is how many jobs the queues hold.
func (r *run) stored(ctx context.Context) (n int64, err error) {
	for _, q := range Queues() {
		size, err := r.conn.Size(ctx, q)
		if err != nil {
			return 0, err
		}
		n += size.Total()
	}
	return n, nil
}

// listen enters what the worker says in the books.
func (r *run) listen(events *spool.Events) {
	spool.Listen(events, func(_ context.Context, e spool.JobProcessed) {
		if e.Result == "deleted" {
			r.books.processed(e.Job)
		}
	})
	spool.Listen(events, func(_ context.Context, e spool.JobReleased) {
		if r.books.released(e.Job) && e.Err != nil {
			r.screen.event(yellow, "%s: %v; attempt %d, again in %v", e.Job.DisplayName(), e.Err, e.Job.Attempt, e.Delay)
		}
	})
	spool.Listen(events, func(_ context.Context, e spool.JobFailed) {
		known, retry := r.books.fell(e.Job)
		if known {
			r.screen.event(red, "%s: %v; attempt %d, failed for good", e.Job.DisplayName(), e.Err, e.Job.Attempt)
		}
		if retry {
			r.failed <- e.Job.UUID // there is room for the only one
		}
	})
	spool.Listen(events, func(_ context.Context, e spool.JobLost) {
		if r.books.knows(e.Job.UUID) {
			r.screen.event(red, "%s: lease lost", e.Job.DisplayName())
		}
	})
}

// logger shows the worker's warnings among the events.
func (r *run) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(r.screen, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{} // the screen has its own
			}
			return a
		},
	}))
}
