package demo

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// screen shows how a run goes: on a terminal a few lines that are redrawn,
// with events scrolling above them, elsewhere plain lines, one a second, and
// the events.
type screen struct {
	out    io.Writer
	width  func() int // nil: plain lines
	colour bool
	began  time.Time

	mu    sync.Mutex
	drawn int // lines of the picture that stands
	last  view

	logged time.Time // when a line of the log was shown
	unsaid int       // lines that were not
}

// colour is a colour of a terminal.
type colour string

const (
	plain  colour = ""
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	faint  colour = "2"
)

// Times between pictures.
const (
	liveEvery  = 100 * time.Millisecond
	plainEvery = time.Second
	logEvery   = 5 * time.Second
)

// Sequences that a terminal obeys.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	eraseBelow = "\r\x1b[J"
)

func newScreen(out io.Writer, width func() int, colour bool) *screen {
	if out == nil {
		out, width = io.Discard, nil
	}
	return &screen{out: out, width: width, colour: colour, began: time.Now()}
}

// show keeps showing what look returns until stop is called, which leaves the
// last picture and gives the cursor back.
func (s *screen) show(look func() view) (stop func()) {
	every := plainEvery
	if s.width != nil {
		every = liveEvery
		s.mu.Lock()
		s.write(hideCursor)
		s.mu.Unlock()
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			s.draw(look())
			select {
			case <-done:
				s.draw(look())
				return
			case <-tick.C:
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.width != nil {
			s.write(showCursor)
		}
		s.out, s.width = io.Discard, nil // listeners stay, and have nothing more to say
	}
}

// draw shows a picture in place of the last one.
func (s *screen) draw(v view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = v
	if s.width == nil {
		if v.phase != "" {
			s.write(status(v) + "\n")
		}
		return
	}
	var b bytes.Buffer
	s.erase(&b)
	s.paint(&b)
	s.write(b.String())
}

// erase removes the picture that stands.
func (s *screen) erase(b *bytes.Buffer) {
	if s.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA%s", s.drawn, eraseBelow)
	}
	s.drawn = 0
}

// paint adds the picture.
func (s *screen) paint(b *bytes.Buffer) {
	width := s.width()
	line := func(c colour, text string) {
		b.WriteString(s.in(c, cut(text, width-1)) + "\n")
		s.drawn++
	}
	line(plain, "")
	for _, q := range s.last.queues {
		all, done := q.Pushed+q.Adopted, q.Processed+q.Failed
		c := plain
		if all > 0 && done == all {
			c = green
		}
		line(c, fmt.Sprintf("  %-10s %s %*d/%d", q.Queue, bar(done, all, min(width-36, 40)), len(fmt.Sprint(all)), done, all))
	}
	line(faint, status(s.last))
}

// event shows a line that stays.
func (s *screen) event(c colour, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf("  %5.1f s  ", time.Since(s.began).Seconds()) + printable(fmt.Sprintf(format, args...))
	if s.width == nil {
		s.write(text + "\n")
		return
	}
	var b bytes.Buffer
	s.erase(&b)
	b.WriteString(s.in(c, text) + "\n")
	s.paint(&b)
	s.write(b.String())
}

// Write shows the lines of a log, one in a few seconds: where many jobs meet
// one outage, the first says it all.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	now := time.Now()
	more := s.unsaid
	if s.unsaid++; now.Sub(s.logged) < logEvery {
		s.mu.Unlock()
		return len(p), nil
	}
	s.logged, s.unsaid = now, 0
	s.mu.Unlock()
	text := strings.TrimRight(string(p), "\n")
	if more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	s.event(yellow, "%s", text)
	return len(p), nil
}

func (s *screen) in(c colour, text string) string {
	if c == plain || !s.colour {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// write passes over errors: who doesn't look misses nothing that counts.
func (s *screen) write(text string) { _, _ = io.WriteString(s.out, text) }

// status is the state of things in a line.
func status(v view) string {
	c := sum(v.queues)
	text := fmt.Sprintf("  %5.1f s  %s: %d pushed", v.elapsed.Seconds(), v.phase, c.Pushed)
	if c.Adopted > 0 {
		text += fmt.Sprintf(" (and %d found)", c.Adopted)
	}
	text += fmt.Sprintf(", %d done, %d running, %d released, %d failed", c.Processed, v.running, c.Released, c.Failed)
	if c.Retried > 0 {
		text += fmt.Sprintf(", %d retried", c.Retried)
	}
	return text
}

// bar renders how much of all is done.
func bar(done, all int64, width int) string {
	if width < 5 {
		return ""
	}
	full := 0
	if all > 0 {
		full = int(int64(width) * done / all)
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

// cut shortens a text to fit a line, because one that wraps can't be redrawn.
func cut(text string, width int) string {
	if r := []rune(text); len(r) > width {
		return string(r[:max(width, 0)])
	}
	return text
}
