package presence

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// meet judges the workers that share queues with this one.
func (p *Presence) meet(ctx context.Context, all []Record) error {
	formats, strangers, elsewhere := strangersAmong(p.me, all)
	switch {
	case len(formats) > 0:
		return &FormatError{Mine: p.me, Others: formats}
	case len(strangers) > 0 && (p.me.Exclusive || slices.ContainsFunc(strangers, func(w Record) bool { return w.Exclusive })):
		return &ExclusiveError{Mine: p.me, Others: strangers}
	case len(strangers) > 0:
		p.log.Warn("workers of another application or environment are at work on the same queues: one of us may be there by mistake; exclusive-env refuses to start then",
			"connection", p.conn.Name, "this", whose(p.me), "others", describe(strangers))
	}
	if len(elsewhere) > 0 {
		// A fleet has many hosts; somebody's own machine joins none.
		level := slog.LevelInfo
		if local(p.me.Env) {
			level = slog.LevelWarn
		}
		p.log.Log(ctx, level, "workers on other hosts are at work on the same queues", "connection", p.conn.Name,
			"this", p.me.Host, "env", p.me.Env, "others", describe(elsewhere))
	}
	return nil
}

// strangersAmong returns the workers that share a queue with me and differ:
// in format, else in application or environment, else in host.
func strangersAmong(me Record, all []Record) (formats, strangers, elsewhere []Record) {
	unlike := func(a, b string) bool { return a != "" && b != "" && a != b }
	for _, w := range all {
		switch {
		case w.ID == me.ID || len(shared(me, w)) == 0:
		case unlike(w.Format, me.Format):
			formats = append(formats, w)
		case unlike(w.App, me.App) || unlike(w.Env, me.Env):
			strangers = append(strangers, w)
		case unlike(w.Host, me.Host):
			elsewhere = append(elsewhere, w)
		}
	}
	return formats, strangers, elsewhere
}

// shared returns the queues that both work.
func shared(a, b Record) []string {
	var both []string
	for _, q := range a.Queues {
		if slices.Contains(b.Queues, q) {
			both = append(both, q)
		}
	}
	return both
}

// local says whether an environment is somebody's own machine.
func local(env string) bool {
	return slices.Contains([]string{"local", "dev", "development", "test", "testing"}, strings.ToLower(env))
}

// whose names an application and its environment.
func whose(w Record) string {
	return strings.TrimSpace(w.App + " " + w.Env)
}

// named is how many workers a message names.
const named = 5

// describe names workers for a message.
func describe(ws []Record) string {
	var parts []string
	for i, w := range ws {
		if i == named {
			parts = append(parts, fmt.Sprintf("and %d more", len(ws)-named))
			break
		}
		part := fmt.Sprintf("pid %d of %s on %s (", w.PID, w.User, w.Host)
		if s := whose(w); s != "" {
			part += s + ", "
		}
		part += "queue " + strings.Join(w.Queues, ",")
		if !w.Seen.IsZero() {
			part += fmt.Sprintf(", seen %d s ago", int(max(time.Since(w.Seen), 0).Seconds()))
		}
		parts = append(parts, part+")")
	}
	return strings.Join(parts, "; ")
}

// soonForgotten ends the messages of workers that can't start.
const soonForgotten = "; one that has died is forgotten within a minute"

// FormatError says that a worker can't start because others are at work
// on its queues that store something else there: two profiles on one queue.
type FormatError struct {
	Mine   Record
	Others []Record // at least one
}

func (e *FormatError) Error() string {
	other := e.Others[0]
	return fmt.Sprintf("connection %s is set to the format %s, but workers of %s are at work on queue %s: %s; the two would miscount attempts and lose jobs: correct profile, or give each a queue, key prefix or database of its own%s",
		e.Mine.Connection, e.Mine.Format, other.Format, strings.Join(shared(e.Mine, other), ","), describe(e.Others), soonForgotten)
}

// ExclusiveError says that a worker can't start because others of another
// application or environment are at work on its queues, and either side shares
// them with nobody.
type ExclusiveError struct {
	Mine   Record
	Others []Record // at least one
}

func (e *ExclusiveError) Error() string {
	who := "those workers were"
	if e.Mine.Exclusive {
		who = "this one was"
	}
	return fmt.Sprintf("queue %s of connection %s is worked for another application or environment than this worker's (%s): %s; %s started with exclusive-env: compare app.name, app.env and where the connection leads%s",
		strings.Join(shared(e.Mine, e.Others[0]), ","), e.Mine.Connection, whose(e.Mine), describe(e.Others), who, soonForgotten)
}
