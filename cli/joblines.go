package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/spoolq/spool"
)

// jobLines prints a line when a job starts and one when it ends, as artisan
// does; with JSON, one object each, in Laravel's keys.
type jobLines struct {
	out    io.Writer
	json   bool
	mute   bool
	long   bool // with id, connection, queue and memory
	colour bool

	mu    sync.Mutex
	threw map[*spool.Job]time.Duration // run times of exceptions, until their outcome is told
}

// newJobLines prints to the output of a command.
func (e *env) newJobLines(json bool) *jobLines {
	return &jobLines{
		out: e.io.Out, json: json, mute: e.quiet, long: e.verbose > 0, threw: map[*spool.Job]time.Duration{},
		colour: e.terminal && e.variable("NO_COLOR") == "",
	}
}

// listen prints the jobs of a worker.
func (l *jobLines) listen(events *spool.Events) {
	if l.mute {
		return
	}
	spool.Listen(events, func(_ context.Context, e spool.JobProcessing) {
		l.print(e.Job, wordRunning, jobLine{Level: "info", Status: "starting"}, -1)
	})
	spool.Listen(events, func(_ context.Context, e spool.JobProcessed) {
		if e.Result == "failed" && !l.json {
			return // its line is FAIL
		}
		l.print(e.Job, wordDone, jobLine{Level: "info", Status: "success", Result: e.Result}, e.Runtime)
	})
	spool.Listen(events, func(_ context.Context, e spool.JobExceptionOccurred) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.threw[e.Job] = e.Runtime
	})
	spool.Listen(events, func(_ context.Context, e spool.JobReleased) {
		d := l.runtime(e.Job)
		switch {
		case e.Returned:
			l.print(e.Job, wordPutBack, jobLine{Level: "info", Status: "returned", Result: "returned", err: e.Err}, d)
		case e.Err != nil:
			l.print(e.Job, wordReleased, jobLine{Level: "warning", Status: "released_after_exception", Result: "released", err: e.Err}, d)
		}
	})
	spool.Listen(events, func(_ context.Context, e spool.JobFailed) {
		l.runtime(e.Job)
		l.print(e.Job, wordFailed, jobLine{Level: "warning", Status: "failed", Result: "failed", err: e.Err}, e.Runtime)
	})
	spool.Listen(events, func(_ context.Context, e spool.JobUnhandled) {
		l.print(e.Job, wordPutBack, jobLine{Level: "warning", Status: "unhandled", Result: "returned", err: e.Err}, -1)
	})
	spool.Listen(events, func(_ context.Context, e spool.JobLost) {
		l.runtime(e.Job)
		l.print(e.Job, wordLost, jobLine{Level: "warning", Status: "lost"}, e.Runtime)
	})
	spool.Listen(events, func(_ context.Context, e spool.WorkerPaused) { l.queue(e.Queue, e.Down, "paused") })
	spool.Listen(events, func(_ context.Context, e spool.WorkerResumed) { l.queue(e.Queue, e.Down, "resumed") })
}

// runtime returns how long a job ran until its exception, or -1, and forgets it.
func (l *jobLines) runtime(j *spool.Job) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.threw[j]
	if !ok {
		return -1
	}
	delete(l.threw, j)
	return d
}

// word is how a line of a job ends, and its colour on a terminal.
type word struct{ text, colour string }

var (
	wordRunning  = word{"RUNNING", "33"}
	wordDone     = word{"DONE", "32"}
	wordReleased = word{"FAIL", "33"} // it will be tried again
	wordFailed   = word{"FAIL", "31"}
	wordPutBack  = word{"PUT BACK", "33"}
	wordLost     = word{"LOST", "31"}
)

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

func (l *jobLines) print(j *spool.Job, w word, line jobLine, d time.Duration) {
	now := time.Now()
	if l.json {
		line.ID, line.UUID, line.Connection, line.Queue = j.ID, j.UUID, j.Connection, j.Queue
		line.Job, line.Attempts, line.Timestamp = cmp.Or(j.DisplayName(), noJob), j.Attempt, now.UTC().Format(jsonTime)
		if line.err != nil {
			line.Exception, line.Message = fmt.Sprintf("%T", line.err), line.err.Error()
		}
		if d >= 0 {
			line.Duration = d.Seconds()
		}
		l.object(line)
		return
	}
	name := printable(cmp.Or(j.DisplayName(), noJob))
	if l.long {
		name += fmt.Sprintf(" %s %s:%s #%d %d MB", printable(j.ID), j.Connection, printable(j.Queue), j.Attempt, memory()>>20)
	}
	ran, end := "", w.text
	if d >= 0 {
		ran = took(d) + " "
	}
	fill := dots(name, ran+w.text)
	if l.colour {
		end = "\x1b[" + w.colour + "m" + w.text + "\x1b[0m"
	}
	text := fmt.Sprintf("  %s %s %s %s%s\n", now.Format(time.DateTime), name, fill, ran, end)
	if line.err != nil {
		text += "      " + printable(firstLine(line.err.Error())) + "\n"
	}
	l.write([]byte(text))
}

// queue prints that a queue, or the worker, was paused or resumed; down: by
// maintenance mode.
func (l *jobLines) queue(queue string, down bool, status string) {
	now := time.Now()
	if down {
		status = map[string]string{"paused": "down", "resumed": "up"}[status]
	}
	if l.json {
		l.object(jobLine{Level: "info", Queue: queue, Status: status, Timestamp: now.UTC().Format(jsonTime)})
		return
	}
	what := "The worker was " + status + "."
	switch {
	case status == "down":
		what = "The application is in maintenance mode: no job is begun until it is up."
	case status == "up":
		what = "The application is up again."
	case queue != "":
		what = "Queue " + printable(queue) + " was " + status + "."
	}
	l.write(fmt.Appendf(nil, "  %s %s\n", now.Format(time.DateTime), what))
}

func (l *jobLines) object(line jobLine) {
	if text, err := jsonText(line); err == nil { // strings and numbers always encode
		l.write(append(text, '\n'))
	}
}

func (l *jobLines) write(text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.out.Write(text) // the first error is told at the end
}

// memory is what this process holds, in bytes.
func memory() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() - s[1].Value.Uint64()
}
