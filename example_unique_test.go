package spool_test

import (
	"context"
	"fmt"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
)

// UpdateIndex is unique by its product. Its options say for how long at most,
// and by which lock Laravel's class does the same.
type UpdateIndex struct{ Product int }

func (u UpdateIndex) UniqueID() string { return fmt.Sprint(u.Product) }

func (u UpdateIndex) JobOptions() []spool.DispatchOption {
	return []spool.DispatchOption{spool.UniqueFor(time.Hour), spool.UniqueAs(`App\Jobs\UpdateIndex`)}
}

// withCache is a client whose unique jobs have their locks in this process. With
// a configuration (package connect, or the command line) they are in its cache.
func withCache() *spool.Client {
	store := cache.NewMemory()
	m := spool.NewManager(&spool.ManagerOptions{Locks: store, Signals: store})
	m.Add(spool.ConnectionConfig{Name: "memory", Open: func(context.Context) (driver.Conn, error) { return memqueue.New(nil), nil }})
	return spool.NewClient(m, nil)
}

func ExampleUniqueJob() {
	ctx := context.Background()
	client := withCache()
	spool.Listen(client.Manager().Events(), func(_ context.Context, e spool.UniqueJobSkipped) {
		fmt.Println("there is one already:", e.Key)
	})
	first, err := spool.Dispatch(ctx, client, UpdateIndex{Product: 7})
	fmt.Println(first.Skipped, err)
	second, err := spool.Dispatch(ctx, client, UpdateIndex{Product: 7})
	fmt.Println(second.Skipped, err)
	// Output:
	// false <nil>
	// there is one already: laravel_unique_job:App\Jobs\UpdateIndex:7
	// true <nil>
}

func ExampleUnique() {
	ctx := context.Background()
	client := withCache()
	for range 2 {
		ref, err := spool.Push(ctx, client, "report", nil, spool.Unique("2026-11"), spool.UniqueUntilProcessing())
		fmt.Println(ref.Skipped, err)
	}
	// Output:
	// false <nil>
	// true <nil>
}

// A handler of a Laravel class that is unique frees its lock.
func ExampleUniqueBy() {
	mux := spool.NewMux()
	mux.HandleFunc(`App\Jobs\UpdateIndex`, func(ctx context.Context, job *spool.Job) error {
		return nil
	}, spool.UniqueBy(func(job *spool.Job) (string, error) {
		var data struct{ Product int }
		err := job.Decode(&data)
		return fmt.Sprint(data.Product), err
	}))
	fmt.Println(mux.Names())
	// Output: [App\Jobs\UpdateIndex]
}

// Many changes of a document, one job half a minute after the last, and at least
// one in five minutes.
func ExampleDebounce() {
	ctx := context.Background()
	client := withCache()
	for range 3 {
		_, err := spool.Push(ctx, client, "index", map[string]int{"document": 7},
			spool.Debounce(30*time.Second, "7"), spool.MaxWait(5*time.Minute))
		if err != nil {
			fmt.Println(err)
		}
	}
	// Output:
}

// Middleware are functions around handlers.
func ExampleMux_Use() {
	mux := spool.NewMux()
	mux.Use(func(next spool.HandlerFunc) spool.HandlerFunc { // around all jobs
		return func(ctx context.Context, job *spool.Job) error {
			return next(ctx, job)
		}
	})
	atNight := func(context.Context, *spool.Job) bool { return time.Now().Hour() < 6 }
	old := func(_ context.Context, job *spool.Job) bool {
		return !job.Payload.Created.IsZero() && time.Since(job.Payload.Created) > 24*time.Hour
	}
	spool.Handle(mux, func(ctx context.Context, job SendReminderEmail) error {
		return nil
	}, spool.Through( // around these, the first outermost
		spool.Skip(old),
		spool.ReleaseIf(atNight, time.Hour),
		spool.FailOnError(spool.IsAny(errRefused)),
	))
	fmt.Println(mux.Names())
	// Output: [SendReminderEmail]
}

// A middleware of one's own that turns jobs away without an attempt.
func ExampleGiveBack() {
	weekdays := func(next spool.HandlerFunc) spool.HandlerFunc {
		return func(ctx context.Context, job *spool.Job) error {
			if d := time.Now().Weekday(); d == time.Saturday || d == time.Sunday {
				return spool.GiveBack(time.Hour, nil)
			}
			return next(ctx, job)
		}
	}
	mux := spool.NewMux()
	spool.Handle(mux, func(ctx context.Context, job SendReminderEmail) error { return nil }, spool.Through(weekdays))
	fmt.Println(mux.Names())
	// Output: [SendReminderEmail]
}
