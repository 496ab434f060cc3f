package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/spoolq/spool"
)

// jobLines prints a line when a job starts and one when it ends, as artisan
// does; with JSON, one object each, in Laravel's keys.
type jobLines struct {
	mu   sync.Mutex
	out  io.Writer
	json bool
	mute bool
	long bool // with id, connection and queue
}

func newJobLines(out io.Writer, json, mute, long bool) *jobLines {
	return &jobLines{out: out, json: json, mute: mute, long: long}
}

// listen prints the jobs of a worker.
func (l *jobLines) listen(events *spool.Events) {
	if l.mute {
		return
	}
	spool.Listen(events, func(_ context.Context, e spool.JobProcessing) {
		l.print(e.Job, "RUNNING", jobLine{Level: "info", Status: "starting"}, -1)
	})
	spool.Listen(events, func(_ context.Context, e spool.JobProcessed) {
		l.print(e.Job, "DONE", jobLine{Level: "info", Status: "success", Result: e.Result}, e.Runtime)
	})
	spool.Listen(events, func(_ context.Context, e spool.JobReleased) {
		if e.Err != nil {
			l.print(e.Job, "FAIL", jobLine{Level: "warning", Status: "released_after_exception", Result: "released", err: e.Err}, -1)
		}
	})
	spool.Listen(events, func(_ context.Context, e spool.JobFailed) {
		l.print(e.Job, "FAIL", jobLine{Level: "warning", Status: "failed", Result: "failed", err: e.Err}, e.Runtime)
	})
	spool.Listen(events, func(_ context.Context, e spool.JobUnhandled) {
		l.print(e.Job, "PUT BACK", jobLine{Level: "warning", Status: "unhandled", Result: "returned"}, -1)
	})
	spool.Listen(events, func(_ context.Context, e spool.JobLost) {
		l.print(e.Job, "LOST", jobLine{Level: "warning", Status: "lost"}, e.Runtime)
	})
	spool.Listen(events, func(_ context.Context, e spool.WorkerPaused) { l.queue(e.Queue, "paused") })
	spool.Listen(events, func(_ context.Context, e spool.WorkerResumed) { l.queue(e.Queue, "resumed") })
}

// jobLine is a line of --json; empty values are left out, as Laravel does.
type jobLine struct {
	Level      string  `json:"level"`
	ID         string  `json:"id,omitempty"`
	UUID       string  `json:"uuid,omitempty"`
	Connection string  `json:"connection,omitempty"`
	Queue      string  `json:"queue,omitempty"`
	Job        string  `json:"job,omitempty"`
	Status     string  `json:"status"`
	Result     string  `json:"result,omitempty"`
	Attempts   int     `json:"attempts,omitempty"`
	Exception  string  `json:"exception,omitempty"`
	Message    string  `json:"message,omitempty"`
	Timestamp  string  `json:"timestamp"`
	Duration   float64 `json:"duration,omitempty"`
	err        error
}

// jsonTime is Laravel's format of times in JSON lines.
const jsonTime = "2006-01-02T15:04:05.000000-07:00"

func (l *jobLines) print(j *spool.Job, word string, line jobLine, d time.Duration) {
	now := time.Now()
	if l.json {
		line.ID, line.UUID, line.Connection, line.Queue = j.ID, j.UUID, j.Connection, j.Queue
		line.Job, line.Attempts, line.Timestamp = j.DisplayName(), j.Attempt, now.UTC().Format(jsonTime)
		if line.err != nil {
			line.Exception, line.Message = fmt.Sprintf("%T", line.err), line.err.Error()
		}
		if d >= 0 {
			line.Duration = d.Seconds()
		}
		l.object(line)
		return
	}
	name := printable(j.DisplayName())
	if l.long {
		name += fmt.Sprintf(" %s %s:%s #%d", printable(j.ID), j.Connection, printable(j.Queue), j.Attempt)
	}
	if d >= 0 {
		word = took(d) + " " + word
	}
	text := fmt.Sprintf("  %s %s %s %s", now.Format(time.DateTime), name, dots(name, word), word)
	if line.err != nil {
		text += "\n      " + printable(firstLine(line.err.Error()))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.out, text)
}

func (l *jobLines) queue(queue, status string) {
	if l.json {
		l.object(jobLine{Level: "info", Queue: queue, Status: status, Timestamp: time.Now().UTC().Format(jsonTime)})
		return
	}
	what := "The worker"
	if queue != "" {
		what = "Queue " + printable(queue)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "  %s %s was %s.\n", time.Now().Format(time.DateTime), what, status)
}

func (l *jobLines) object(line jobLine) {
	b, err := json.Marshal(line)
	if err != nil {
		return // strings and numbers always marshal
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "%s\n", b)
}

// lineWidth is how wide a line of output is at least.
const lineWidth = 76

// dots fills the space between a name and what is said of it.
func dots(name, word string) string {
	return strings.Repeat(".", max(lineWidth-22-len([]rune(name))-len(word), 3))
}

// took renders a run time as artisan does: 12.34ms, 1.20s, 2m 3s.
func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.2fms", float64(d)/float64(time.Millisecond))
	case d < time.Minute:
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
	return fmt.Sprintf("%dm %ds", int(d.Minutes()), int(d.Seconds())%60)
}

// printable makes foreign text safe for a terminal: no control characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
