package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/spoolq/spool"
)

// output shows what the command of a job prints, line by line, with -v.
func (e *env) output(job *spool.Job) (stdout, stderr io.WriteCloser) {
	if e.lines == nil || !e.lines.long || e.lines.mute {
		return nil, nil
	}
	return &jobOutput{lines: e.lines, job: job}, &jobOutput{lines: e.lines, job: job}
}

// longestLine is how much of a line that doesn't end is kept before it is
// shown.
const longestLine = 4 << 10

// jobOutput shows one output of a command.
type jobOutput struct {
	lines *jobLines
	job   *spool.Job
	rest  []byte // begun, and not ended yet
}

// Write implements io.Writer.
func (o *jobOutput) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		line, after, ended := bytes.Cut(b, []byte("\n"))
		if ended || len(o.rest)+len(line) >= longestLine {
			o.lines.output(o.job, append(o.rest, line...))
			o.rest = o.rest[:0]
		} else {
			o.rest = append(o.rest, line...)
		}
		b = after
	}
	return n, nil
}

// Close shows a last line that has no end.
func (o *jobOutput) Close() error {
	if len(o.rest) > 0 {
		o.lines.output(o.job, o.rest)
		o.rest = nil
	}
	return nil
}

// output prints a line that a job has printed.
func (l *jobLines) output(j *spool.Job, text []byte) {
	text = bytes.TrimRight(text, "\r")
	name := cmp.Or(j.DisplayName(), noJob)
	if l.json {
		l.object(jobLine{
			Level: "info", ID: j.ID, UUID: j.UUID, Connection: j.Connection, Queue: j.Queue, Job: name, Status: "output",
			Attempts: j.Attempt, Message: string(bytes.ToValidUTF8(text, []byte("\uFFFD"))), Timestamp: time.Now().UTC().Format(jsonTime),
		})
		return
	}
	l.write(fmt.Appendf(nil, "      %s %s | %s\n", printable(name), printable(j.ID), printable(string(text))))
}
