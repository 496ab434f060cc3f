package listen

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestArgs(t *testing.T) {
	for _, tt := range []struct {
		name string
		work Work
		want string
	}{
		{"nothing said", Work{}, "queue:work --once --sleep=0 --timeout=0 --memory=0"},
		{"everything", Work{
			Connection: "redis", Name: "n", Queues: []string{"high", `a"b $(c)`}, Tries: new(0),
			Backoff: []time.Duration{time.Second, 1500 * time.Millisecond}, Timeout: time.Minute,
			Memory: 128, Force: true, Flags: []string{"--env-file=a b"},
		}, `queue:work redis --once --sleep=0 --name=n --queue=high,a"b $(c) --tries=0 --backoff=1,2 --timeout=60 --memory=128 --force --env-file=a b`},
		{"half a second", Work{Timeout: 1500 * time.Millisecond, Backoff: []time.Duration{}}, "queue:work --once --sleep=0 --backoff= --timeout=1.5 --memory=0"},
	} {
		if got := strings.Join(tt.work.Args(), " "); got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
	}
	// No shell: a queue's name is one argument whatever is in it.
	if args := (&Work{Queues: []string{`a; rm -rf "$HOME"`}}).Args(); !slices.Contains(args, `--queue=a; rm -rf "$HOME"`) {
		t.Errorf("got %q", args)
	}
}

func TestExecutableIsAsItWasStarted(t *testing.T) {
	args := os.Args
	t.Cleanup(func() { os.Args = args })
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	link := filepath.Join(dir, "spool")
	if err := os.Symlink(exe, link); err != nil {
		t.Skip("no symbolic links: ", err)
	}
	t.Chdir(dir)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ arg, path, want string }{
		{link, "", link}, // the link, not where it leads
		{"./spool", "", filepath.Join(here, "spool")}, // absolute, as children start elsewhere
		{"spool", dir, "spool"},                       // to be looked up each time
		{"-spool", "", exe},                           // a login shell's idea of a name
	} {
		t.Setenv("PATH", tt.path)
		os.Args = []string{tt.arg}
		if got := Executable(); got != tt.want {
			t.Errorf("started as %s: got %s, want %s", tt.arg, got, tt.want)
		}
	}
}
