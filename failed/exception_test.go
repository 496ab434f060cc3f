package failed_test

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/spoolq/spool/failed"
)

func TestExceptionOfAReturnedError(t *testing.T) {
	inner := &fs.PathError{Op: "open", Path: "a.csv", Err: fs.ErrNotExist}
	for _, c := range []struct {
		err  error
		want string
	}{
		{inner, "*fs.PathError: open a.csv: file does not exist\nStack trace:\n#0 {main}"},
		{fmt.Errorf("import: %w", inner), "*fs.PathError: import: open a.csv: file does not exist\nStack trace:\n#0 {main}"},
		{errors.New("no luck"), "*errors.errorString: no luck\nStack trace:\n#0 {main}"},
	} {
		if got := failed.Exception(c.err, nil); got != c.want {
			t.Errorf("got %q\nwant %q", got, c.want)
		}
	}
}

type handler struct{}

func (*handler) boom(m map[string]int) { m["x"] = 1 } // m is nil

func (h *handler) Handle() { h.boom(nil) }

// caught runs f and returns the text of its panic.
func caught(f func()) (text string) {
	defer func() {
		text = failed.Exception(fmt.Errorf("panic: %v", recover()), debug.Stack())
	}()
	f()
	return ""
}

func TestExceptionOfAPanic(t *testing.T) {
	for name, f := range map[string]func(){
		"a runtime error": func() { (&handler{}).Handle() },
		"a panic while another is handled": func() {
			defer func() { panic(recover()) }()
			(&handler{}).Handle()
		},
	} {
		got := caught(f)
		want := regexp.MustCompile(`(?s)^\*errors\.errorString: panic: assignment to entry in nil map.* in \S+/failed/exception_test\.go:\d+
Stack trace:
#0 \S+/failed/exception_test\.go\(\d+\): github\.com/spoolq/spool/failed_test\.\(\*handler\)\.boom\(\)
#1 \S+/failed/exception_test\.go\(\d+\): github\.com/spoolq/spool/failed_test\.\(\*handler\)\.Handle\(\)
.*
#\d+ \{main\}$`)
		if !want.MatchString(got) {
			t.Errorf("%s: got\n%s", name, got)
		}
		if strings.Contains(got, "runtime.") && strings.Contains(got, "debug.Stack") {
			t.Errorf("%s: the machinery shows:\n%s", name, got)
		}
	}
}

func TestExceptionWithAStackTakenAnywhere(t *testing.T) {
	got := failed.Exception(errors.New("x"), debug.Stack())
	if !strings.HasPrefix(got, "*errors.errorString: x in ") || !strings.Contains(strings.SplitN(got, "\n", 2)[0], "exception_test.go:") {
		t.Errorf("got\n%s", got)
	}
	for _, odd := range []string{"", "\n", "garbage", "a()\n\tno place\n", "goroutine 1 [running]:\n"} {
		if got := failed.Exception(errors.New("x"), []byte(odd)); got != "*errors.errorString: x\nStack trace:\n#0 {main}" {
			t.Errorf("stack %q: got %q", odd, got)
		}
	}
}

func FuzzPayload(f *testing.F) {
	for _, s := range []string{"", "{}", "base64:", "base64:e30=", "\x00", "\xff", "base64:e30"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if got := failed.DecodePayload(failed.EncodePayload(body)); string(got) != string(body) {
			t.Errorf("%q came back as %q", body, got)
		}
	})
}

func TestDecodePayloadLeavesForeignTextAlone(t *testing.T) {
	for _, text := range []string{"base64:not!", "base64:e30", "base64:e31=", "{}", "xbase64:e30="} {
		if got := failed.DecodePayload(text); string(got) != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	if got := failed.DecodePayload("base64:/w=="); string(got) != "\xff" {
		t.Errorf("got %q", got)
	}
}
