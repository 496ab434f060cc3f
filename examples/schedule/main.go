// Command schedule is a shop that reports its sales every working day: see
// docs/schedules.md.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cli"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/schedule"
)

// Report tells somebody of the sales of a day.
type Report struct {
	To string `json:"to"`
}

// Sync fetches what has changed at a supplier.
type Sync struct{}

// Sale begins a sale.
type Sale struct {
	Percent int `json:"percent"`
}

func timetable(s *schedule.Scheduler) {
	s.Cron("0 8 * * 1-5", Report{To: "boss"}, spool.OnQueue("reports")).In("Asia/Shanghai").Name("daily-report")
	s.Every(10*time.Minute, Sync{})
	s.At(time.Date(2100, 1, 31, 6, 0, 0, 0, time.UTC), Sale{Percent: 20})
}

// report reports the day before its tick, however late it runs.
func report(ctx context.Context, job Report) error {
	until := time.Now()
	if tick, ok := schedule.TickFrom(ctx); ok {
		until = tick.At
	}
	fmt.Printf("To %s: sales since %s\n", job.To, until.AddDate(0, 0, -1).Format(time.DateTime))
	return nil
}

func sync(context.Context, Sync) error {
	fmt.Println("Everything is up to date")
	return nil
}

func sale(_ context.Context, job Sale) error {
	fmt.Printf("All is %d %% cheaper\n", job.Percent)
	return nil
}

func main() {
	mux := spool.NewMux()
	spool.Handle(mux, report)
	spool.Handle(mux, sync)
	spool.Handle(mux, sale)
	app := &cli.App{Mux: mux, Setup: func(_ context.Context, set *connect.Set) error {
		timetable(set.Schedule)
		return nil
	}}
	app.Main()
}
