package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// sizeCommand is queue:size.
func sizeCommand(e *env) *cobra.Command {
	var queues []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "queue:size [connection]",
		Short: "Count the jobs of queues by state",
		Long: `Count the jobs of queues that are pending, delayed and reserved, and say which are paused.
Without --queue it is every queue that holds jobs, where the backend knows them, and the
default one.`,
		Args:              oneConnection(),
		ValidArgsFunction: e.completeConnection,
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.sizes(cmd.Context(), first(args), queues, asJSON)
		},
	}
	cmd.Flags().StringSliceVar(&queues, "queue", nil, "these `QUEUES` only, e.g. high,default")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each queue")
	e.completeQueues(cmd)
	return cmd
}

// queueSize is a queue in JSON, in the keys of Laravel's queue:monitor.
type queueSize struct {
	Connection  string     `json:"connection"`
	Queue       string     `json:"queue"`
	Size        int64      `json:"size"`
	Pending     int64      `json:"pending"`
	Delayed     int64      `json:"delayed"`
	Reserved    int64      `json:"reserved"`
	Oldest      *int64     `json:"oldest_pending"` // Unix seconds; null if there is none or it isn't known
	Status      string     `json:"status,omitempty"`
	Paused      bool       `json:"paused,omitempty"` // by queue:pause
	Approximate bool       `json:"approximate,omitempty"`
	oldest      *time.Time // as a time
}

// size counts the jobs of one queue.
func (e *env) size(ctx context.Context, conn *spool.Connection, queue string) (queueSize, error) {
	s, err := conn.Size(ctx, queue)
	q := queueSize{
		Connection: conn.Name, Queue: conn.QueueOr(queue), Size: s.Total(),
		Pending: s.Pending, Delayed: s.Delayed, Reserved: s.Reserved, Approximate: s.Approximate,
	}
	if !s.Oldest.IsZero() {
		q.Oldest, q.oldest = new(s.Oldest.Unix()), &s.Oldest
	}
	return q, cannot(err, conn, "count its jobs")
}

func (e *env) sizes(ctx context.Context, name string, queues []string, asJSON bool) error {
	conn, err := e.connection(ctx, name)
	if err != nil {
		return err
	}
	if len(queues) == 0 {
		if queues, err = e.allQueues(ctx, conn); err != nil {
			return err
		}
	}
	all := make([]queueSize, 0, len(queues))
	for _, queue := range queues {
		q, err := e.size(ctx, conn, queue)
		if err != nil {
			return err
		}
		all = append(all, q)
	}
	e.markPaused(ctx, all)
	for _, q := range all {
		if asJSON {
			if err := e.object(q); err != nil {
				return err
			}
			continue
		}
		e.say("  %s", q.line(""))
	}
	return nil
}

// line renders the counts for people.
func (q queueSize) line(end string) string {
	name := printable(q.Connection + ":" + q.Queue)
	text := fmt.Sprintf("%d pending, %d delayed, %d reserved", q.Pending, q.Delayed, q.Reserved)
	if q.Approximate {
		text = "about " + text
	}
	if q.oldest != nil {
		text += ", oldest " + age(time.Since(*q.oldest))
	}
	if q.Paused {
		text += ", paused"
	}
	return name + " " + dots(name, text+end) + " " + text + end
}

// age renders how long ago something was, in one unit.
func age(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 0))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// allQueues returns the connection's default queue and those that hold jobs.
func (e *env) allQueues(ctx context.Context, conn *spool.Connection) ([]string, error) {
	queues, err := conn.Queues(ctx)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	if !slices.Contains(queues, conn.Queue) {
		queues = append([]string{conn.Queue}, queues...)
	}
	return queues, nil
}

// cannot says that a connection's driver has no such ability.
func cannot(err error, conn *spool.Connection, what string) error {
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return fmt.Errorf("connection %s can't %s: the driver %s has no such ability", conn.Name, what, conn.Driver().Traits().Driver)
}

// states reads --state.
func states(names []string) ([]driver.State, error) {
	all := []driver.State{driver.Pending, driver.Delayed, driver.Reserved}
	known := append(all, driver.Buried)
	var chosen []driver.State
	for _, n := range names {
		s := driver.State(strings.TrimSpace(n))
		if !slices.Contains(known, s) {
			return nil, usagef("--state %q: want pending, delayed, reserved or buried; queue:failed lists failed jobs", n)
		}
		chosen = append(chosen, s)
	}
	if len(chosen) == 0 {
		return all, nil
	}
	return chosen, nil
}
