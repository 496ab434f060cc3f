// Package listen is the parent of queue:listen: it runs each job in a child
// process of its own, `queue:work --once`, so that
//
//   - a program that is rebuilt or replaced is the new one from the next job on:
//     its path is resolved for each child;
//   - a job that crashes, calls os.Exit, takes too much memory or processor
//     time, or doesn't end costs that attempt and nothing else. The parent
//     survives, holding back children that die at once for up to five seconds;
//   - a child is really killed, with all it started: see package procgroup.
//
// # Timeout
//
// A killed child can't settle its job, which then stays reserved until the
// lease ends (retry_after) and comes back with that attempt counted. So the
// child is told the timeout too and judges first: it ends the handler's
// context, and when the handler returns within the grace, the job is retried or
// failed at once, by its policy. A child whose handler doesn't return ends by
// itself after the grace, with all it started. The parent's kill, a few seconds
// later (Slack), is for children that can't even do that. It counts from the
// child's start and doesn't know the timeout that a job's payload may carry: a
// job that may run longer than queue:listen's timeout needs a longer one there.
//
// # What the child must do
//
// A child started with [EnvChild] in its environment ends with [ExitEmpty] when
// it had no job to run: an empty queue, a paused one, maintenance mode.
// Everything else is Laravel's: 0 when the job is settled, however it went.
// SIGTERM has it finish its job and end.
package listen

import (
	"context"
	"runtime/metrics"
	"time"

	"github.com/spoolq/spool/internal/procgroup"
)

// EnvChild is the variable that tells a child that it is one.
const EnvChild = "SPOOL_LISTEN"

// Exit codes.
const (
	// ExitEmpty is that of a child that had no job to run.
	ExitEmpty = 80
	// ExitMemory is that of a parent that holds too much memory, as Laravel's.
	ExitMemory = 12
)

// Reason is why Run returned.
type Reason string

// The reasons.
const (
	Interrupted Reason = "interrupted" // the context ended
	Memory      Reason = "memory"      // the parent itself holds too much memory
)

// Result is how a run ended.
type Result struct {
	Reason   Reason
	ExitCode int // for the process: 0, or ExitMemory
	Jobs     int // children that had a job, or died
}

// Run starts one child after another until ctx ends. Then the running child is
// asked to end (SIGTERM), waited for as long as its job takes, and the result
// is Interrupted with exit code 0. An error means that Run couldn't begin.
func Run(ctx context.Context, work Work, o *Options) (Result, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return Result{ExitCode: 1}, err
	}
	l := &listener{o: opts, work: work}
	for ctx.Err() == nil {
		pause := l.next(ctx)
		if work.Memory > 0 && memory()>>20 >= uint64(work.Memory) {
			l.o.Logger.Warn("queue:listen holds too much memory and stops", "limit_mb", work.Memory)
			return Result{Reason: Memory, ExitCode: ExitMemory, Jobs: l.jobs}, nil
		}
		sleep(ctx, pause)
	}
	return Result{Reason: Interrupted, Jobs: l.jobs}, nil
}

type listener struct {
	o    Options
	work Work
	pace pace
	jobs int
}

// next runs one child, waits for work if it found none, and returns how long
// to pause.
func (l *listener) next(ctx context.Context) time.Duration {
	began := time.Now()
	exit, killed, err := l.child(ctx)
	lived := time.Since(began)
	switch {
	case err != nil:
		l.o.Logger.Error("can't start a child", "program", l.o.Executable, "error", err)
		return l.pace.died(0)
	case exit.Code == ExitEmpty:
		return l.wait(ctx)
	}
	l.jobs++
	if exit.OK() {
		l.pace.worked()
		return l.o.Rest
	}
	switch {
	case killed:
		l.o.Logger.Error("child killed: it did not end at its timeout; its job comes back when its lease ends",
			"timeout", l.work.Timeout, "lived", lived.Round(time.Millisecond))
	case ctx.Err() != nil:
		l.o.Logger.Warn("child ended while stopping", "exit", exit.String())
	default:
		l.o.Logger.Error("child ended badly; a job it had not settled comes back when its lease ends", "exit", exit.String())
	}
	return max(l.pace.died(lived), l.o.Rest)
}

// child runs one child to its end, and says whether it was killed because of
// its timeout.
func (l *listener) child(ctx context.Context) (exit procgroup.Exit, killed bool, err error) {
	p, err := procgroup.Start(&procgroup.Spec{
		Path:    l.o.Executable,
		Args:    l.work.Args(),
		Dir:     l.o.Dir,
		Env:     l.o.Env,
		Stdout:  l.o.Stdout,
		Stderr:  l.o.Stderr,
		Session: true, // handlers of the child start groups of their own
		Limits:  procgroup.Limits{Memory: int64(l.work.Memory) << 20, CPU: l.o.CPU, Nice: l.o.Nice},
	})
	if err != nil {
		return exit, false, err
	}
	var late <-chan time.Time
	if d := l.limit(); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		late = t.C
	}
	stop, abort := ctx.Done(), (<-chan struct{})(nil)
	for {
		select {
		case <-p.Done():
			return p.Wait(), killed, nil
		case <-stop:
			p.Terminate()
			stop, abort = nil, l.o.Abort
		case <-late:
			killed = true
			p.Kill()
		case <-abort:
			p.Kill()
			abort = nil
		}
	}
}

// limit is how long a child may live; 0 is any time.
func (l *listener) limit() time.Duration {
	if l.work.Timeout <= 0 {
		return 0
	}
	return l.work.Timeout + l.o.CancelGrace + l.o.Slack
}

// wait waits for work, and returns how long to pause all the same.
func (l *listener) wait(ctx context.Context) time.Duration {
	if l.o.Wait == nil {
		l.pace.deaths = 0
		return l.o.Sleep
	}
	began := time.Now()
	if err := l.o.Wait(ctx); err != nil && ctx.Err() == nil {
		l.o.Logger.Error("can't wait for jobs", "error", err)
		return l.o.Sleep
	}
	return l.pace.waited(time.Since(began), l.o.Sleep)
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// memory is what this process holds, in bytes.
func memory() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
