package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/worker"
)

// spoolContestant is Spool as a user gets it: typed jobs and handlers, leases,
// fencing, timeouts, a listener for the end of each job.
func spoolContestant() *contestant {
	return &contestant{
		name: "spool",
		about: func(*store) string {
			return "typed jobs and handlers, timeout 60 s, leases of 90 s kept, a listener of JobProcessed"
		},
		widths: func(_ *store, c *testcase) []int {
			if c.drains() && c.task.Width == 0 {
				return []int{1, 10, 100, 1000}
			}
			return []int{c.task.Width}
		},
		open: openSpool,
	}
}

// spoolPlayer has a producer and a worker, each on a connection of its own.
type spoolPlayer struct {
	producer, local *spool.Client
	work            *spool.Connection
	current         atomic.Pointer[tally]
	clear           func(ctx context.Context) error
	closers         []func() error
}

func openSpool(ctx context.Context, s *store) (player, error) {
	p := &spoolPlayer{}
	producer, err := p.manager(ctx, s)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	work := producer
	if s.family != memoryStore { // which is one connection by its nature
		if work, err = p.manager(ctx, s); err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	p.producer, p.local = spool.NewClient(producer, nil), spool.NewClient(work, nil)
	if p.work, err = work.Connection(ctx, ""); err != nil {
		return nil, errors.Join(err, p.close())
	}
	p.clear = func(ctx context.Context) error { return clearJobs(ctx, s, p.work.Driver()) }
	spool.Listen(work.Events(), func(context.Context, spool.JobProcessed) {
		if t := p.current.Load(); t != nil {
			t.end(1)
		}
	})
	return p, nil
}

// manager returns a manager with one connection to the store, open.
func (p *spoolPlayer) manager(ctx context.Context, s *store) (*spool.Manager, error) {
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: s.name, Open: func(ctx context.Context) (driver.Conn, error) {
		conn, closeStore, err := openDriver(ctx, s)
		if err == nil {
			p.closers = append(p.closers, closeStore)
		}
		return conn, err
	}})
	_, err := m.Connection(ctx, "")
	return m, err
}

func (p *spoolPlayer) reset(ctx context.Context) error { return p.clear(ctx) }

func (p *spoolPlayer) close() error {
	var errs []error
	for _, c := range p.closers {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

func (p *spoolPlayer) run(ctx context.Context, t task) (result, error) {
	switch t.Kind {
	case push:
		took, err := concurrently(t.Jobs, t.Width, func(i int) error {
			_, err := spool.Dispatch(ctx, p.producer, newReminder(i))
			return err
		})
		return result{Elapsed: took}, err
	case bulk:
		return p.bulk(ctx, t)
	case drain:
		return p.drain(ctx, t)
	case latency:
		return p.latency(ctx, t)
	}
	return result{}, fmt.Errorf("spool: what is a %q?", t.Kind)
}

func (p *spoolPlayer) bulk(ctx context.Context, t task) (result, error) {
	begun := time.Now()
	for from := 0; from < t.Jobs; from += t.Width {
		jobs := make([]reminder, min(t.Width, t.Jobs-from))
		for i := range jobs {
			jobs[i] = newReminder(from + i)
		}
		if _, err := spool.DispatchAll(ctx, p.producer, jobs); err != nil {
			return result{}, err
		}
	}
	return result{Elapsed: time.Since(begun)}, nil
}

func (p *spoolPlayer) drain(ctx context.Context, t task) (result, error) {
	mux := spool.NewMux()
	count := newTally(t.Jobs)
	p.current.Store(count)
	defer p.current.Store(nil)
	spool.Handle(mux, func(_ context.Context, job reminder) error {
		if t.Work > 0 {
			time.Sleep(t.Work)
		}
		count.ran.Add(1)
		count.sum.Add(int64(job.index()))
		return nil
	})
	stop := p.start(ctx, mux, t.Width)
	res, err := count.wait(ctx)
	if err := errors.Join(err, stop()); err != nil {
		return result{}, err
	}
	return res, count.check()
}

func (p *spoolPlayer) latency(ctx context.Context, t task) (result, error) {
	mux := spool.NewMux()
	watch := newStopwatch(t.Jobs)
	spool.Handle(mux, func(_ context.Context, job reminder) error {
		watch.started(job.index())
		return nil
	})
	stop := p.start(ctx, mux, 10)
	client := p.producer
	if t.Local {
		client = p.local
	}
	err := pace(ctx, t, func(i int) error {
		job := newReminder(i)
		watch.begin(i)
		_, err := spool.Dispatch(ctx, client, job)
		return err
	})
	var res result
	if err == nil {
		res, err = watch.wait(ctx)
	}
	return res, errors.Join(err, stop())
}

// start runs a worker until the function that it returns is called, which
// waits for it.
func (p *spoolPlayer) start(ctx context.Context, mux *spool.Mux, concurrency int) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	var err error
	running.Go(func() {
		_, err = worker.New(p.work, mux, &worker.Options{Concurrency: concurrency, Logger: slog.New(slog.DiscardHandler)}).Run(ctx)
	})
	return func() error {
		cancel()
		running.Wait()
		return err
	}
}
