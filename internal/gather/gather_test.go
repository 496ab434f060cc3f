package gather_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
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
