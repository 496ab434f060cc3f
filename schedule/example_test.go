package schedule_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/schedule"
)

type Sync struct{}

func Example() {
	ctx := context.Background()
	client := spool.Connect(memqueue.New(nil))
	store := cache.NewMemory() // one that all schedulers share, rather

	s := schedule.New(client, store, nil)
	s.Cron("0 8 * * 1-5", Report{To: "boss"}, spool.OnQueue("reports")).In("Asia/Shanghai").Name("daily-report")
	s.Every(10*time.Minute, Sync{})
	s.At(time.Date(2100, 1, 31, 6, 0, 0, 0, time.UTC), spool.WithName("sale", map[string]int{"percent": 20}))

	list, err := s.List(ctx)
	if err != nil {
		panic(err)
	}
	for _, entry := range list {
		fmt.Println(entry.Name, "of", entry.Job, "is due", entry.When)
	}
	ref, err := s.RunNow(ctx, "daily-report")
	fmt.Println(ref.Queue, err)
	// Output:
	// daily-report of Report is due 0 8 * * 1-5
	// Sync of Sync is due every 10m
	// sale of sale is due at 2100-01-31T06:00:00Z
	// reports <nil>
}

func ExampleEntry_CatchUp() {
	s := schedule.New(spool.Connect(memqueue.New(nil)), cache.NewMemory(), nil)
	s.Cron("@hourly", Sync{})                                            // none, so that only what comes is run
	s.Cron("0 8 * * *", Report{To: "boss"}).CatchUp(1)                   // the last one, however many there were
	s.Cron("0 0 1 * *", Report{To: "taxes"}).Name("invoice").CatchUp(12) // each, up to twelve
	fmt.Println(s.Names(), s.Check())
	// Output: [Sync Report invoice] <nil>
}

// A scheduler beside a server of one's own, which tells what was missed.
func ExampleScheduler_Run() {
	client := spool.Connect(memqueue.New(nil))
	s := schedule.New(client, cache.NewMemory(), nil)
	s.Every(time.Hour, Sync{})
	spool.Listen(client.Manager().Events(), func(ctx context.Context, e spool.ScheduleMissed) {
		slog.ErrorContext(ctx, "nothing ran the schedule", "name", e.Name, "count", e.Count, "since", e.First)
	})

	ctx, stop := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer stop()
	fmt.Println(s.Run(ctx))
	// Output: <nil>
}
