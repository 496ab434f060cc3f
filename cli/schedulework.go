package cli

import (
	"context"
	"errors"
	"os/signal"
	"time"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool"
)

// scheduleRunCommand is schedule:run.
func scheduleRunCommand(e *env) *cobra.Command {
	var asJSON bool
	var names []string
	cmd := &cobra.Command{
		Use:   "schedule:run",
		Short: "Dispatch the jobs that are due now",
		Long: `Dispatch the jobs that are due now. Have cron call it every minute:

  * * * * * cd /srv/app && ` + e.name() + ` schedule:run

or run schedule:work instead. On as many hosts as you like: each time of a job is dispatched
once. --name dispatches a job at once, due or not, paused or not.`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(names) > 0 {
				return e.scheduleRunNow(cmd.Context(), names, asJSON)
			}
			return e.scheduleRun(cmd.Context(), asJSON)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&names, "name", nil, "dispatch this job, `NAME`, now; may be repeated")
	f.BoolVar(&asJSON, "json", false, "print one JSON object for each job")
	_ = cmd.RegisterFlagCompletionFunc("name", e.completeSchedules)
	return cmd
}

// scheduleWorkCommand is schedule:work.
func scheduleWorkCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "schedule:work",
		Short: "Dispatch jobs when they are due, as a daemon",
		Long: `Dispatch jobs when they are due, until stopped by SIGTERM, SIGINT or SIGQUIT, or by queue:restart.
Run it on two hosts or more, so that no time is missed: each is dispatched once. It runs no
jobs; that is for queue:work.`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.scheduleWork(cmd.Context(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each event")
	return cmd
}

func (e *env) scheduleRun(ctx context.Context, asJSON bool) error {
	s, err := e.scheduler(ctx, true)
	if err != nil {
		return err
	}
	e.tellSchedule(asJSON)
	n, err := s.RunDue(ctx)
	if err == nil && n == 0 && !asJSON {
		e.say("No scheduled jobs are due.")
	}
	return err
}

func (e *env) scheduleRunNow(ctx context.Context, names []string, asJSON bool) error {
	s, err := e.scheduler(ctx, false)
	if err != nil {
		return err
	}
	if err := unscheduled(s, names); err != nil {
		return err
	}
	e.tellSchedule(asJSON)
	var errs []error
	for _, name := range names {
		_, err := s.RunNow(ctx, name)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (e *env) scheduleWork(ctx context.Context, asJSON bool) error {
	s, err := e.scheduler(ctx, true)
	if err != nil {
		return err
	}
	e.tellSchedule(asJSON)
	if !asJSON && !e.quiet {
		e.say("  Dispatching %s when due.", count(int64(len(s.Names())), "scheduled job"))
	}
	ctx, stop := signal.NotifyContext(ctx, stopSignals...)
	defer stop()
	return s.Run(ctx)
}

// scheduleEvent is an event of a schedule in JSON.
type scheduleEvent struct {
	Event      string     `json:"event"`
	Name       string     `json:"name"`
	Tick       *time.Time `json:"tick,omitempty"`
	ByHand     bool       `json:"byHand,omitempty"`
	UUID       string     `json:"uuid,omitempty"`
	Connection string     `json:"connection,omitempty"`
	Queue      string     `json:"queue,omitempty"`
	Skipped    bool       `json:"skipped,omitempty"` // another job has its lock
	First      *time.Time `json:"first,omitempty"`
	Last       *time.Time `json:"last,omitempty"`
	Count      int        `json:"count,omitempty"`
	Error      string     `json:"error,omitempty"`
}

// tellSchedule prints what becomes of the schedule.
func (e *env) tellSchedule(asJSON bool) {
	events := e.set.Manager.Events()
	spool.Listen(events, func(_ context.Context, v spool.ScheduleDispatched) {
		if asJSON {
			_ = e.object(scheduleEvent{
				Event: "dispatched", Name: v.Name, Tick: new(v.Tick.UTC()), ByHand: v.ByHand, UUID: v.Ref.UUID,
				Connection: v.Ref.Connection, Queue: v.Ref.Queue, Skipped: v.Ref.Skipped,
			}) // the first error is told at the end
			return
		}
		what := printable(v.Ref.Connection+":"+v.Ref.Queue) + " " + v.Ref.UUID
		if v.Ref.Skipped {
			what = "SKIPPED, another job has its lock"
		}
		name := v.Tick.Local().Format(time.DateTime) + " " + printable(v.Name)
		e.say("  %s %s %s", name, dots(name, what), what)
	})
	if !asJSON {
		return // the rest is logged
	}
	spool.Listen(events, func(_ context.Context, v spool.ScheduleMissed) {
		_ = e.object(scheduleEvent{Event: "missed", Name: v.Name, First: new(v.First.UTC()), Last: new(v.Last.UTC()), Count: v.Count})
	})
	spool.Listen(events, func(_ context.Context, v spool.ScheduleFailed) {
		_ = e.object(scheduleEvent{Event: "failed", Name: v.Name, Tick: new(v.Tick.UTC()), Error: v.Err.Error()})
	})
}
