//go:build unix

package demo_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// onTerminal runs a demo on a terminal and returns what it writes there. stop
// is called once, when the first picture with work done stands.
func onTerminal(t *testing.T, width uint16, stop func(*os.Process), env []string, args ...string) (string, error) {
	t.Helper()
	cmd := command(t, t.TempDir(), append([]string{"demo"}, args...)...)
	cmd.Env = append(append(cmd.Env, "TERM=xterm-256color"), env...)
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 40, Cols: width})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var text strings.Builder
	b := make([]byte, 4096)
	for {
		n, err := f.Read(b)
		text.Write(b[:n])
		if stop != nil && strings.Contains(text.String(), "working:") {
			stop(cmd.Process)
			stop = nil
		}
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO) { // Linux says EIO when the other side is gone
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return text.String(), cmd.Wait()
}

const (
	hide, show = "\x1b[?25l", "\x1b[?25h"
	up         = "\x1b[4A\r\x1b[J"
)

func TestOnATerminal(t *testing.T) {
	t.Parallel()
	text, err := onTerminal(t, 60, nil, nil, "--jobs", "100")
	if err != nil {
		t.Fatalf("%v\n%q", err, text)
	}
	if n := strings.Count(text, up); n < 10 || n > 200 {
		t.Errorf("%d pictures", n)
	}
	if strings.Count(text, hide) != 1 || strings.Count(text, show) != 1 || strings.Index(text, show) < strings.LastIndex(text, up) {
		t.Errorf("the cursor is not given back:\n%q", text)
	}
	if !strings.Contains(text, "It adds up: 100 pushed") || !strings.Contains(text, "[####") || !strings.Contains(text, "\x1b[33m") {
		t.Errorf("%q", text)
	}
	for picture := range strings.SplitSeq(text[:strings.Index(text, show)], up) {
		for line := range strings.Lines(picture) {
			if strings.Contains(line, "released") && len(strings.TrimSpace(stripped(line))) > 60 {
				t.Errorf("a line wraps and can't be redrawn: %q", line)
			}
		}
	}
}

// stripped removes colours.
func stripped(s string) string {
	return strings.NewReplacer("\x1b[2m", "", "\x1b[0m", "", "\x1b[32m", "").Replace(s)
}

func TestTerminalWithoutColour(t *testing.T) {
	t.Parallel()
	text, err := onTerminal(t, 80, nil, []string{"NO_COLOR=1"}, "--jobs", "10")
	if err != nil || strings.Contains(text, "m\x1b[") || strings.Contains(text, "\x1b[0m") || !strings.Contains(text, up) {
		t.Errorf("%v\n%q", err, text)
	}
}

func TestDumbTerminalGetsPlainLines(t *testing.T) {
	t.Parallel()
	text, err := onTerminal(t, 80, nil, []string{"TERM=dumb"}, "--jobs", "10")
	if err != nil || strings.Contains(text, "\x1b") {
		t.Errorf("%v\n%q", err, text)
	}
}

func TestInterruptOnATerminalGivesTheCursorBack(t *testing.T) {
	t.Parallel()
	var at time.Time
	text, err := onTerminal(t, 80, func(p *os.Process) {
		at = time.Now()
		if err := p.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
	}, nil, "--jobs", "3000")
	if took := time.Since(at); err == nil || took > 3*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	if !strings.Contains(text[max(strings.Index(text, show), 0):], "Interrupted after") || strings.Count(text, show) != 1 {
		t.Errorf("%q", text)
	}
}
