package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// tally counts the jobs of one drain and notices the last.
type tally struct {
	want  int
	begun time.Time
	ran   atomic.Int64 // handlers
	sum   atomic.Int64 // of the job numbers that handlers got
	ended atomic.Int64 // ends stored
	last  time.Time    // set before done is closed
	done  chan struct{}
}

func newTally(want int) *tally {
	return &tally{want: want, begun: time.Now(), done: make(chan struct{})}
}

// end notes that the ends of n jobs were stored.
func (t *tally) end(n int) {
	if now := t.ended.Add(int64(n)); now >= int64(t.want) && now-int64(n) < int64(t.want) {
		t.last = time.Now()
		close(t.done)
	}
}

// wait blocks until every job has ended.
func (t *tally) wait(ctx context.Context) (result, error) {
	select {
	case <-t.done:
		return result{Elapsed: t.last.Sub(t.begun)}, nil
	case <-ctx.Done():
		return result{}, fmt.Errorf("%d of %d jobs ended: %w", t.ended.Load(), t.want, context.Cause(ctx))
	}
}

// check says whether the handlers got each of the jobs numbered from 0 once.
func (t *tally) check() error {
	n := int64(t.want)
	if t.ran.Load() != n || t.sum.Load() != n*(n-1)/2 {
		return fmt.Errorf("handlers ran %d jobs whose numbers add up to %d; want %d and %d", t.ran.Load(), t.sum.Load(), n, n*(n-1)/2)
	}
	return nil
}

// stopwatch takes the latencies of jobs by their number.
type stopwatch struct {
	pushed []time.Time
	took   []atomic.Int64
	left   atomic.Int64
	done   chan struct{}
}

func newStopwatch(n int) *stopwatch {
	s := &stopwatch{pushed: make([]time.Time, n), took: make([]atomic.Int64, n), done: make(chan struct{})}
	s.left.Store(int64(n))
	return s
}

// begin notes that job i is about to be pushed; started, that its handler runs.
func (s *stopwatch) begin(i int) { s.pushed[i] = time.Now() }
func (s *stopwatch) started(i int) {
	if s.took[i].Swap(int64(time.Since(s.pushed[i]))) == 0 && s.left.Add(-1) == 0 {
		close(s.done)
	}
}

// wait blocks until every job has started.
func (s *stopwatch) wait(ctx context.Context) (result, error) {
	select {
	case <-s.done:
	case <-ctx.Done():
		return result{}, fmt.Errorf("%d of %d jobs never started: %w", s.left.Load(), len(s.took), context.Cause(ctx))
	}
	var r result
	for i := range s.took {
		r.Latencies = append(r.Latencies, time.Duration(s.took[i].Load()))
	}
	return r, nil
}

// concurrently calls f for 0 … n-1 from g goroutines and returns how long that
// took, and the first error.
func concurrently(n, g int, f func(i int) error) (time.Duration, error) {
	var wg sync.WaitGroup
	var next atomic.Int64
	errs := make(chan error, g)
	begun := time.Now()
	for range g {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(begun)
	close(errs)
	return took, <-errs
}
