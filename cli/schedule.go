package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool/schedule"
)

// scheduler returns the schedule of the application and the settings. shared says
// that the command is of no use without a cache that others see.
func (e *env) scheduler(ctx context.Context, shared bool) (*schedule.Scheduler, error) {
	set, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := set.Schedule.Check(); err != nil {
		return nil, &usageError{err}
	}
	if s := set.Config.Cache.Stores[set.Config.Cache.Default]; shared && s != nil && (s.Driver == "array" || s.Driver == "null") {
		return nil, usagef("a schedule needs a cache that other processes see, and the store %s (driver %s) ends with this one; set cache.default to a store with driver database, redis or file", s.Name, s.Driver)
	}
	if shared && len(set.Schedule.Names()) == 0 {
		return nil, usagef("nothing is scheduled: list jobs under schedule: in spool.yaml, or add them in the program")
	}
	return set.Schedule, nil
}

// scheduleListCommand is schedule:list.
func scheduleListCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "schedule:list",
		Short: "List the jobs that are dispatched at set times",
		Long: `List the jobs that are dispatched at set times, when they are due next, on the clock of
their zone, and when they ran last. One is overdue if a time of it has passed for more than
five minutes and no scheduler has dealt with it.`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.scheduleList(cmd.Context(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each job")
	return cmd
}

// scheduled is an entry in JSON.
type scheduled struct {
	Name    string     `json:"name"`
	Job     string     `json:"job"`
	When    string     `json:"when"`
	Zone    string     `json:"zone"`
	Next    *time.Time `json:"next,omitempty"`
	Last    *time.Time `json:"last,omitempty"`
	UUID    string     `json:"uuid,omitempty"` // of the last one's job
	Paused  bool       `json:"paused"`
	Overdue bool       `json:"overdue"`
}

func (e *env) scheduleList(ctx context.Context, asJSON bool) error {
	s, err := e.scheduler(ctx, false)
	if err != nil {
		return err
	}
	if len(s.Names()) == 0 {
		if !asJSON {
			e.say("Nothing is scheduled.")
		}
		return nil
	}
	list, err := s.List(ctx)
	if err != nil {
		return err
	}
	for _, v := range list {
		if err := e.printScheduled(v, asJSON); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) printScheduled(v schedule.Status, asJSON bool) error {
	if asJSON {
		j := scheduled{Name: v.Name, Job: v.Job, When: v.When, Zone: v.Zone, UUID: v.UUID, Paused: v.Paused, Overdue: v.Overdue}
		if !v.Next.IsZero() {
			j.Next = &v.Next
		}
		if !v.Last.IsZero() {
			j.Last = &v.Last
		}
		return e.object(j)
	}
	what := v.When
	if !strings.HasPrefix(what, "at ") {
		what += " " + v.Zone
	}
	switch {
	case v.Overdue:
		what += ", OVERDUE"
	case v.Paused:
		what += ", paused"
	}
	if !v.Next.IsZero() {
		what += ", next " + v.Next.Format(time.DateTime)
	}
	if !v.Last.IsZero() {
		what += ", last " + v.Last.Format(time.DateTime)
	}
	name := v.Name
	if v.Job != v.Name {
		name += " (" + v.Job + ")"
	}
	name, what = printable(name), printable(what)
	e.say("  %s %s %s", name, dots(name, what), what)
	return nil
}

// schedulePauseCommand is schedule:pause.
func schedulePauseCommand(e *env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "schedule:pause [name...]",
		Short: "Leave jobs alone when they are due",
		Long: `Leave jobs alone when they are due, until schedule:resume. Nothing of that time is made up for
later. PHP's own schedule goes on.`,
		ValidArgsFunction: e.completeSchedules,
		RunE: func(cmd *cobra.Command, names []string) error {
			return e.schedulePause(cmd.Context(), names, all, true)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all jobs, those that are scheduled later too")
	return cmd
}

// scheduleResumeCommand is schedule:resume.
func scheduleResumeCommand(e *env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "schedule:resume [name...]",
		Aliases: []string{"schedule:continue"},
		Short:   "End schedule:pause",
		Long: `End schedule:pause. --all ends what --all began: a job that was paused by its name, too, stays
paused.`,
		ValidArgsFunction: e.completeSchedules,
		RunE: func(cmd *cobra.Command, names []string) error {
			return e.schedulePause(cmd.Context(), names, all, false)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all jobs")
	return cmd
}

func (e *env) schedulePause(ctx context.Context, names []string, all, on bool) error {
	if all == (len(names) > 0) {
		return usagef("name jobs of schedule:list, or give --all")
	}
	s, err := e.scheduler(ctx, true)
	if err != nil {
		return err
	}
	if err := unscheduled(s, names); err != nil {
		return err
	}
	if all {
		names = []string{""}
	}
	var errs []error
	for _, name := range names {
		done, was := "resumed", true
		var err error
		if on {
			done, err = "paused", s.Pause(ctx, name)
		} else {
			was, err = s.Resume(ctx, name)
		}
		what := "Schedule " + printable(name)
		if all {
			what = "All schedules"
		}
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		case !was && all:
			e.say("No pause of all schedules is in force: nothing to resume.")
		case !was:
			e.say("%s was not paused by its name: nothing to resume.", what)
		default:
			e.say("%s %s.", what, done)
		}
	}
	return errors.Join(errs...)
}

// unscheduled returns an error for the first name that no entry has.
func unscheduled(s *schedule.Scheduler, names []string) error {
	for _, name := range names {
		if !slices.Contains(s.Names(), name) {
			return &usageError{&schedule.UnknownError{Name: name, Known: s.Names()}}
		}
	}
	return nil
}

// completeSchedules completes the names of entries.
func (e *env) completeSchedules(cmd *cobra.Command, done []string, start string) ([]string, cobra.ShellCompDirective) {
	e.quiet = true
	set, err := e.open(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := slices.DeleteFunc(set.Schedule.Names(), func(n string) bool { return !strings.HasPrefix(n, start) || slices.Contains(done, n) })
	return names, cobra.ShellCompDirectiveNoFileComp
}
