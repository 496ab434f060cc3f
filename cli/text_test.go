package cli

import (
	"strings"
	"testing"
	"time"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain, Grüße, 仕事":   "plain, Grüße, 仕事",
		"\x1b[31mred":        "\uFFFD[31mred",
		"a\r\nb\tc\x00":      "a\uFFFD\uFFFDb\uFFFDc\uFFFD",
		"\u009b2J":           "\uFFFD2J",
		"bad \xff byte":      "bad \uFFFD byte",
		"file\u202Egnp.exe":  "file\uFFFDgnp.exe",
		"\u2066hidden\u2069": "\uFFFDhidden\uFFFD",
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestJSONText(t *testing.T) {
	for in, want := range map[string]string{
		"<a&b>":      `"<a&b>"`,
		"\x1b[31m":   `"\u001b[31m"`,
		"\u009b2J":   `"\u009b2J"`,
		"del\u007f":  `"del\u007f"`,
		"two\nlines": `"two\nlines"`,
		"bad \xff":   `"bad \ufffd"`,
		"Grüße, 仕事":  `"Grüße, 仕事"`,
	} {
		got, err := jsonText(in)
		if err != nil || string(got) != want {
			t.Errorf("jsonText(%q) = %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestTookAndAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		12345 * time.Microsecond: "12.35ms", 1200 * time.Millisecond: "1.20s", 123 * time.Second: "2m 3s",
	} {
		if got := took(d); got != want {
			t.Errorf("took(%v) = %s, want %s", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 90 * time.Second: "90s", 5 * time.Minute: "5m", 3 * time.Hour: "3h", 50 * time.Hour: "2d",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestNamesOfJobs(t *testing.T) {
	for name, want := range map[string]string{
		"SendReminder": "send_reminder", "SendHTTPMail": "send_http_mail", "A": "a", "Report2Go": "report2_go", "HTTP": "http",
	} {
		if got := snake(name); got != want {
			t.Errorf("snake(%s) = %s, want %s", name, got, want)
		}
	}
	for typed, want := range map[string]string{
		"send-reminder": "SendReminder", "send_reminder": "SendReminder", "sendReminder": "SendReminder", "3x": "SendReminder", "é": "SendReminder",
	} {
		if got := camel(typed); got != want {
			t.Errorf("camel(%s) = %s, want %s", typed, got, want)
		}
	}
}

// TestOldDelay holds --delay and --backoff to Laravel: the larger one counts.
func TestOldDelay(t *testing.T) {
	for args, want := range map[string]string{
		"--delay=5": "5", "--delay=5 --backoff=3": "5", "--delay=3 --backoff=5": "5", "--delay=9 --backoff=1,2": "1,2", "--backoff=7": "7",
	} {
		f := newFlags(t, strings.Fields(args))
		if got := f["worker.backoff"]; got != want {
			t.Errorf("%s: backoff is %q, want %q", args, got, want)
		}
	}
}
