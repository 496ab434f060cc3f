package limit_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/limit"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

type Export struct {
	Shop int  `json:"shop"`
	VIP  bool `json:"vip"`
}

// application is a client and its worker with one queue and one cache.
func application() (*spool.Client, func(mux *spool.Mux) worker.Result) {
	store := cache.NewMemory()
	m := spool.NewManager(&spool.ManagerOptions{Locks: store, Signals: store})
	m.Add(spool.ConnectionConfig{Name: "memory", Open: func(context.Context) (driver.Conn, error) { return memqueue.New(nil), nil }})
	return spool.NewClient(m, nil), func(mux *spool.Mux) worker.Result {
		conn, err := m.Connection(context.Background(), "")
		if err != nil {
			panic(err)
		}
		res, err := worker.New(conn, mux, &worker.Options{StopWhenEmpty: true, Concurrency: 1}).Run(context.Background())
		if err != nil {
			panic(err)
		}
		return res
	}
}

// shopOf is the shop of a job, for limits and locks by shop.
func shopOf(job *spool.Job) string {
	var e Export
	_ = job.Decode(&e) // the handler meets the error too
	return strconv.Itoa(e.Shop)
}

// A limit of all, and one for each shop.
func ExampleRateLimited() {
	ctx := context.Background()
	client, work := application()

	mux := spool.NewMux()
	spool.Handle(mux, func(ctx context.Context, job Export) error {
		fmt.Println("exporting shop", job.Shop, "at attempt", spool.JobFrom(ctx).Attempt)
		return nil
	}, spool.Through(limit.RateLimited("exports", func(job *spool.Job) []limit.Limit {
		return []limit.Limit{limit.PerMinute(100), limit.PerHour(1).By(shopOf(job))}
	}, nil)))

	spool.Listen(client.Manager().Events(), func(_ context.Context, e spool.JobReleased) {
		fmt.Println("not now:", e.Err, e.Delay > 59*time.Minute)
	})
	for _, shop := range []int{1, 1, 2} {
		_, _ = spool.Dispatch(ctx, client, Export{Shop: shop})
	}
	work(mux)
	// Output:
	// exporting shop 1 at attempt 1
	// not now: limit exports has no room true
	// exporting shop 2 at attempt 1
}

// One export of a shop at a time, whoever runs it: the lock is that of the
// Laravel class which does the same.
func ExampleWithoutOverlapping() {
	ctx := context.Background()
	client, work := application()

	mux := spool.NewMux()
	spool.Handle(mux, func(ctx context.Context, job Export) error {
		owner, err := spool.JobFrom(ctx).Locks.Owner(ctx, `laravel-queue-overlap:App\Jobs\Export:1`)
		fmt.Println("locked:", owner != "", err)
		return err
	}, spool.Through(limit.WithoutOverlapping(shopOf, &limit.OverlapOptions{Class: `App\Jobs\Export`, After: 30 * time.Second})))
	_, _ = spool.Dispatch(ctx, client, Export{Shop: 1})
	work(mux)
	// Output: locked: true <nil>
}

var errDown = errors.New("connection refused")

// Two exceptions within ten minutes, and the service is left alone for a while.
func ExampleThrottlesExceptions() {
	ctx := context.Background()
	client, work := application()

	mux := spool.NewMux()
	spool.Handle(mux, func(context.Context, Export) error {
		fmt.Println("calling")
		return fmt.Errorf("export service: %w", errDown)
	}, spool.Through(limit.ThrottlesExceptions(2, 10*time.Minute, &limit.ExceptionOptions{
		By:      "export service",
		When:    spool.IsAny(errDown),
		Backoff: time.Minute,
	})))
	for shop := range 4 {
		_, _ = spool.Dispatch(ctx, client, Export{Shop: shop})
	}
	work(mux)
	// Output:
	// calling
	// calling
}

// Ten calls in a minute, from all processes together. A job that returns the
// error comes back when there is room.
func ExampleThrottle() {
	ctx := context.Background()
	store := limit.In(cache.NewMemory())

	call := func() error {
		return limit.Throttle("stripe").Allow(2).Every(time.Minute).In(store).Do(ctx, func(context.Context) error {
			fmt.Println("charging")
			return nil
		})
	}
	fmt.Println(call(), call())
	err, limited := errors.AsType[*limit.Error](call())
	fmt.Println(limited, err.After > 55*time.Second)
	// Output:
	// charging
	// charging
	// <nil> <nil>
	// true true
}

// Three at a time, in all processes together.
func ExampleFunnel() {
	ctx := context.Background()
	store := limit.In(cache.NewMemory())

	err := limit.Funnel("pdf").Limit(3).Block(5*time.Second).In(store).Do(ctx, func(ctx context.Context) error {
		fmt.Println("rendering") // ctx ends if the slot is lost
		return nil
	})
	fmt.Println(err)
	// Output:
	// rendering
	// <nil>
}

// A middleware that applies to some jobs only.
func Example_some() {
	limited := limit.Throttle("exports").Allow(10).Every(time.Minute).Middleware()
	unlessVIP := func(next spool.HandlerFunc) spool.HandlerFunc {
		return func(ctx context.Context, job *spool.Job) error {
			var e Export
			if err := job.Decode(&e); err == nil && e.VIP {
				return next(ctx, job)
			}
			return limited(next)(ctx, job)
		}
	}
	mux := spool.NewMux()
	spool.Handle(mux, func(context.Context, Export) error { return nil }, spool.Through(unlessVIP))
	fmt.Println(mux.Names())
	// Output: [Export]
}
