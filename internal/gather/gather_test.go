package gather_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool/internal/gather"
)

func TestCallsThatArriveDuringAFlushGoOutTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		g := gather.New(100, func(_ context.Context, items []int) ([]string, []error) {
			time.Sleep(time.Second)
			sizes = append(sizes, len(items))
			res, errs := make([]string, len(items)), make([]error, len(items))
			for i, n := range items {
				if res[i] = strconv.Itoa(n); n == 7 {
					errs[i] = errors.New("seven")
				}
			}
			return res, errs
		})
		var wg sync.WaitGroup
		for n := range 50 {
			wg.Go(func() {
				res, err := g.Do(t.Context(), n)
				if res != strconv.Itoa(n) || (err != nil) != (n == 7) {
					t.Errorf("item %d: got %q, %v", n, res, err)
				}
			})
		}
		wg.Wait()
		if len(sizes) != 2 || sizes[0] != 1 || sizes[1] != 49 {
			t.Errorf("flushed batches of %v, want [1 49]", sizes)
		}
	})
}

func TestACallThatGivesUpBeforeItsFlushIsNotFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flushed []int
		g := gather.New(2, func(_ context.Context, items []int) ([]int, []error) {
			time.Sleep(time.Second)
			flushed = append(flushed, items...)
			return items, make([]error, len(items))
		})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = g.Do(t.Context(), 1) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := g.Do(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a deadline", err)
		}
		wg.Wait()
		if len(flushed) != 1 {
			t.Errorf("flushed %v, want only the first", flushed)
		}
	})
}

func TestAFlushThatPanicsLeavesNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gather.New(100, func(_ context.Context, items []int) ([]int, []error) {
			time.Sleep(time.Second)
			if len(items) == 2 {
				panic("boom")
			}
			return items, make([]error, len(items))
		})
		var panicked, failed, done atomic.Int64
		var wg sync.WaitGroup
		do := func(n int) {
			wg.Go(func() {
				defer func() {
					if recover() != nil {
						panicked.Add(1)
					}
				}()
				if _, err := g.Do(t.Context(), n); err != nil {
					failed.Add(1)
				} else {
					done.Add(1)
				}
			})
			synctest.Wait()
		}
		for n := range 3 { // the first alone, the others together
			do(n)
		}
		time.Sleep(1500 * time.Millisecond)
		do(3)
		wg.Wait()
		if panicked.Load() != 1 || failed.Load() != 1 || done.Load() != 2 {
			t.Errorf("%d panicked, %d failed, %d done; want 1, 1 and 2", panicked.Load(), failed.Load(), done.Load())
		}
	})
}
