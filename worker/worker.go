// Package worker runs jobs: it reserves them from one connection, runs their
// handlers side by side, keeps their leases, and stores how they ended.
//
// A job is decided by pure functions (decide, stop); everything else here is
// the shell around them. The hot path is a pipeline of batches that form by
// themselves: one call reserves as many jobs as slots are free, and the ends
// of jobs gather while the previous ones are being stored.
//
// It imports package spool and the seam, never a driver.
package worker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/gather"
)

// Worker works the queues of one connection. Create it with New; run it once.
type Worker struct {
	conn     *spool.Connection
	drv      driver.Conn
	mux      *spool.Mux
	o        Options
	keep     *keeper
	polls    *signalPoll
	only     *only                         // nil: jobs of all names are taken
	ends     *gather.Gather[end, struct{}] // but for removals
	removals removals

	line  line          // of jobs for the slots
	freed chan struct{} // a slot has become free
	abort chan struct{} // stop at once
	ended chan struct{} // the loop has ended: nothing more is reserved
	timer *time.Timer   // of the loop's sleep
	once  sync.Once     // closes abort

	free       atomic.Int64 // slots without a job
	started    atomic.Int64
	processed  atomic.Int64
	failed     atomic.Int64
	leaked     atomic.Int64 // handlers given up after their job was settled
	mustStop   atomic.Bool  // a stuck handler demands a new process
	paused     atomic.Bool
	wasDown    bool // maintenance mode, as the loop has told; the loop's own
	unknown    bounces
	handed     bounces // back, where the backend can't undo a delivery
	kept       bounces
	thrown     bounces // exceptions by job, where no cache counts them
	unstored   throttle
	unfollowed throttle
	uncounted  throttle
	runners    sync.WaitGroup
	life       context.Context // of the jobs; set by Run
}

// Result is how a worker ended.
type Result struct {
	Reason    Reason
	ExitCode  int
	Processed int64 // jobs that ran to an end
	Failed    int64 // of these, failed for good
}

// New returns a worker for the handlers of mux on an open connection. opts
// may be nil.
func New(conn *spool.Connection, mux *spool.Mux, opts *Options) *Worker {
	w := &Worker{
		conn: conn, drv: conn.Driver(), mux: mux.For(conn.Format), o: opts.withDefaults(conn),
		freed: make(chan struct{}, 1), abort: make(chan struct{}), ended: make(chan struct{}),
	}
	w.free.Store(int64(w.o.Concurrency))
	w.keep = newKeeper(w.drv, w.o.Logger, w.o.CancelGrace)
	w.keep.stuck = w.stuck
	w.polls = newSignalPoll(&w.o, conn.Name)
	w.ends = gather.New(maxSettle, w.store)
	return w
}

// Run works jobs until ctx ends or a stop condition of the options holds. It
// then stops reserving, waits up to Grace for running jobs, hands the rest
// back, and returns. The error is that of a backend that could not be used at
// the start, or at all under Once and StopWhenEmpty.
//
// A handler that ignores the end of its context can't be stopped and is left
// behind. Its lease is no longer kept then, so that its job will run elsewhere:
// a process whose worker ends with [StuckHandlers] has to end too.
func (w *Worker) Run(ctx context.Context) (Result, error) {
	if w.drv.Traits().Instant {
		return Result{Reason: Broken, ExitCode: ExitError}, fmt.Errorf("connection %s runs jobs as they are pushed: there is nothing to work", w.conn.Name)
	}
	if err := w.conn.Ping(ctx); err != nil {
		return Result{Reason: Broken, ExitCode: ExitError}, err
	}
	if err := w.limit(); err != nil {
		return Result{Reason: Broken, ExitCode: ExitError}, err
	}
	present, err := w.join(ctx)
	if err != nil {
		return Result{Reason: Refused, ExitCode: ExitError}, err
	}
	defer present.Leave()
	// Jobs outlive ctx: it only says when to stop reserving.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	w.life = life
	var watchers sync.WaitGroup
	watchers.Go(func() { w.keep.watch(life) })
	watchers.Go(func() { w.keep.keepLeases(life) })
	w.polls.look(life)
	watchers.Go(func() { w.polls.watch(life) })
	watchers.Go(func() { present.Keep(life, w.tell) })
	w.runners.Add(w.o.Concurrency)
	for range w.o.Concurrency {
		go w.work(life) // ends with Done, or hands its place on
	}
	spool.Emit(ctx, w.conn.Events(), spool.WorkerStarting{Name: w.o.Name, Connection: w.conn.Name, Queues: w.o.Queues})

	reason, code, err := w.loop(ctx)
	w.line.close()
	close(w.ended)
	w.drain()
	end()
	watchers.Wait()

	res := Result{Reason: reason, ExitCode: code, Processed: w.processed.Load(), Failed: w.failed.Load()}
	if res.ExitCode == ExitOK && w.mustStop.Load() {
		res.Reason, res.ExitCode = StuckHandlers, ExitError
	}
	spool.Emit(context.WithoutCancel(ctx), w.conn.Events(), spool.WorkerStopping{
		Name: w.o.Name, Connection: w.conn.Name, Reason: string(res.Reason), Status: res.ExitCode, Processed: res.Processed,
	})
	return res, err
}

// Pause stops reserving until Resume; running jobs go on.
func (w *Worker) Pause() { w.setPaused(true) }

// Resume ends Pause.
func (w *Worker) Resume() { w.setPaused(false) }

func (w *Worker) setPaused(paused bool) {
	if w.paused.Swap(paused) == paused {
		return
	}
	if ctx := context.Background(); paused {
		spool.Emit(ctx, w.conn.Events(), spool.WorkerPaused{Name: w.o.Name, Connection: w.conn.Name})
	} else {
		spool.Emit(ctx, w.conn.Events(), spool.WorkerResumed{Name: w.o.Name, Connection: w.conn.Name})
	}
	w.wake()
}

// Abort has a stopping worker return at once: handlers are cancelled and not
// waited for; their jobs come back when their leases end.
func (w *Worker) Abort() { w.once.Do(func() { close(w.abort) }) }

// Running returns how many jobs are in hand.
func (w *Worker) Running() int { return w.o.Concurrency - int(w.free.Load()) }

// drain waits for the jobs in hand: up to Grace for them to end by
// themselves, then up to CancelGrace for cancelled ones to return. Whoever
// hasn't returned by then is left behind with its lease.
func (w *Worker) drain() {
	done := make(chan struct{})
	go func() { w.runners.Wait(); close(done) }()
	if w.o.Grace >= 0 {
		grace := time.NewTimer(w.o.Grace)
		defer grace.Stop()
		select {
		case <-done:
			return
		case <-w.abort:
		case <-grace.C:
		}
	} else {
		select {
		case <-done:
			return
		case <-w.abort:
		}
	}
	w.keep.cancelAll(ErrStopping)
	last := time.NewTimer(w.o.CancelGrace + time.Second)
	defer last.Stop()
	aborted := w.abort
	for {
		select {
		case <-done:
			return
		case <-aborted:
			// Those that return promptly still get their job stored.
			last.Reset(100 * time.Millisecond)
			aborted = nil
		case <-last.C:
			for _, t := range w.keep.held() {
				why := "handler did not return"
				if !t.lives() {
					why = "the end of a job could not be stored"
				}
				w.o.Logger.Error(why+": it comes back when its lease ends", "job", t.name(), "queue", t.res.Queue)
			}
			w.mustStop.Store(w.mustStop.Load() || w.Running() > 0)
			return
		}
	}
}
