//go:build unix

package external

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newJob returns a job as a worker would hand it over.
func newJob(t testing.TB, data any) *spool.Job {
	t.Helper()
	d := &spool.Draft{UUID: spool.NewUUID(), Name: `App\Jobs\Mail@handle`, Data: data, Created: time.Now()}
	body, err := spool.Native.Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	p, err := spool.Native.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	return &spool.Job{ID: "17", UUID: d.UUID, Name: d.Name, Queue: "emails", Connection: "redis", Attempt: 2, Body: body, Payload: p}
}

func runShell(t *testing.T, ctx context.Context, line string, job *spool.Job, o *CommandOptions) error {
	t.Helper()
	h, err := Shell(line, o)
	if err != nil {
		t.Fatal(err)
	}
	return h(ctx, job)
}

func TestExitCodes(t *testing.T) {
	job := newJob(t, "data")
	for _, tt := range []struct {
		line  string
		want  spool.OutcomeKind
		delay time.Duration
		text  string
	}{
		{line: "exit 0"},
		{line: "echo fine; echo odd >&2"},
		{line: "exit 75", want: spool.Released, delay: 5 * time.Second},
		{line: "echo working; echo 'spool: release 90'; exit 75", want: spool.Released, delay: 90 * time.Second},
		{line: "printf 'spool: release 1m30s'; exit 75", want: spool.Released, delay: 90 * time.Second},
		{line: "echo 'spool: release 0'; exit 75", want: spool.Released},
		{line: "echo 'spool: release 9'; echo bye; exit 75", want: spool.Released, delay: 5 * time.Second},
		{line: "echo 'spool: release soon'; exit 75", want: spool.Released, delay: 5 * time.Second},
		{line: "echo 'spool: release -3'; exit 75", want: spool.Released, delay: 5 * time.Second},
		{line: "echo no such customer >&2; exit 100", want: spool.Failed, text: "shell command: exit code 100: no such customer"},
		{line: "echo one; echo two >&2; exit 1", text: "shell command: exit code 1: two"},
		{line: "echo on stdout; exit 255", text: "shell command: exit code 255: on stdout"},
		{line: "kill -KILL $$", text: "shell command: ended by signal: killed"},
	} {
		err := runShell(t, t.Context(), tt.line, job, nil)
		got := spool.OutcomeOf(err)
		if got.Kind != tt.want || got.Delay != tt.delay {
			t.Errorf("%s: got %+v, want kind %v after %v", tt.line, got, tt.want, tt.delay)
		}
		switch {
		case tt.text == "" && tt.want == spool.Undecided && err != nil:
			t.Errorf("%s: %v", tt.line, err)
		case tt.text != "" && (err == nil || err.Error() != tt.text):
			t.Errorf("%s: got %v, want %s", tt.line, err, tt.text)
		}
	}
	var e *ExitError
	if err := runShell(t, t.Context(), "exit 7", job, nil); !errors.As(err, &e) || e.Code != 7 {
		t.Errorf("got %v", err)
	}
}

func TestInputAndEnvironment(t *testing.T) {
	t.Setenv("SPOOL_JOB_DATA_FILE", "of the job that runs us")
	dir := t.TempDir()
	job := newJob(t, map[string]any{"user_id": 1, "nul": "a\x00b"})
	err := runShell(t, t.Context(), `cat >body; env | grep -a ^SPOOL_JOB_ | sort >env; pwd >dir; echo $OWN >own`, job,
		&CommandOptions{Dir: dir, Env: []string{"OWN=1", "OWN=2"}})
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := read("body"); got != string(job.Body) {
		t.Errorf("body %q, want %q", got, job.Body)
	}
	want := fmt.Sprintf(`SPOOL_JOB_ATTEMPT=2
SPOOL_JOB_CONNECTION=redis
SPOOL_JOB_DATA={"nul":"a\u0000b","user_id":1}
SPOOL_JOB_ID=17
SPOOL_JOB_NAME=App\Jobs\Mail@handle
SPOOL_JOB_QUEUE=emails
SPOOL_JOB_UUID=%s
`, job.UUID)
	if got := read("env"); got != want {
		t.Errorf("environment:\n%swant:\n%s", got, want)
	}
	if got := strings.TrimSpace(read("dir")); got != dir {
		t.Errorf("folder %s, want %s", got, dir)
	}
	if read("own") != "2\n" {
		t.Errorf("OWN=%s", read("own"))
	}
}

func TestLargeDataIsInAFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	job := newJob(t, strings.Repeat("0123456789", 5<<20/10))
	var out bytes.Buffer
	err := runShell(t, t.Context(), `cat | wc -c; wc -c <"$SPOOL_JOB_DATA_FILE"; echo "[$SPOOL_JOB_DATA]"; stat -c %a "$SPOOL_JOB_DATA_FILE" 2>/dev/null || echo 600`, job,
		&CommandOptions{Stdout: &out})
	want := fmt.Sprintf("%d\n%d\n[]\n600\n", len(job.Body), len(job.Payload.Data))
	if err != nil || out.String() != want {
		t.Errorf("got %q, %v; want %q", out.String(), err, want)
	}
	// Raw bytes that are no JSON at all, as long as a format calls them data.
	job.Body, job.Name = []byte("a\x00\xff\n"), "nul\x00name"
	job.Payload = &spool.Payload{Data: json.RawMessage("x\x00y")}
	out.Reset()
	err = runShell(t, t.Context(), `cat; cat "$SPOOL_JOB_DATA_FILE"; echo $SPOOL_JOB_NAME`, job, &CommandOptions{Stdout: &out})
	if err != nil || out.String() != "a\x00\xff\nx\x00ynulname\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

func TestMuchOutputIsNotKept(t *testing.T) {
	job := newJob(t, nil)
	err := runShell(t, t.Context(), `head -c 100000000 /dev/zero | tr '\0' x; head -c 100000000 /dev/zero | tr '\0' y >&2; echo the end >&2; exit 1`, job, nil)
	if err == nil || len(err.Error()) > tailSize+100 || !strings.HasSuffix(err.Error(), "ythe end") {
		t.Errorf("got %.100v", err)
	}
}

func TestCommandThatCannotRun(t *testing.T) {
	job := newJob(t, nil)
	for _, tt := range []struct {
		argv []string
		o    *CommandOptions
		want string
	}{
		{[]string{"no-such-program"}, nil, "no-such-program"},
		{[]string{"/no/such/program", "x"}, nil, "/no/such/program"},
		{[]string{"sh", "-c", "exit 0"}, &CommandOptions{Dir: "/no/such/folder"}, "/no/such/folder"},
		{[]string{"/etc/passwd"}, nil, "permission denied"},
	} {
		h, err := Command(tt.argv, tt.o)
		if err != nil {
			t.Fatal(err)
		}
		err = h(t.Context(), job)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), job.Name) ||
			spool.OutcomeOf(err).Kind != spool.Undecided {
			t.Errorf("%v: %v", tt.argv, err)
		}
	}
	for _, argv := range [][]string{nil, {""}} {
		if _, err := Command(argv, nil); err == nil {
			t.Errorf("%q was accepted", argv)
		}
	}
	if _, err := Shell(" ", nil); err == nil {
		t.Error("an empty line was accepted")
	}
}

func TestEndOfContextKillsGrandchildren(t *testing.T) {
	cause := errors.New("lease lost")
	for name, line := range map[string]string{
		"that obey":                         `sh -c 'echo $$ >pid.tmp; mv pid.tmp pid; exec sleep 100' & wait`,
		"that ignore TERM":                  `trap "" TERM; sh -c 'echo $$ >pid.tmp; mv pid.tmp pid; while :; do sleep 1; done' & while :; do sleep 1; done`,
		"of a command that says it is done": `trap 'exit 0' TERM; sh -c 'echo $$ >pid.tmp; mv pid.tmp pid; exec sleep 100' & wait`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var wg sync.WaitGroup
			var err error
			job := newJob(t, nil)
			wg.Go(func() {
				err = runShell(t, ctx, line, job, &CommandOptions{Dir: dir, Grace: 100 * time.Millisecond})
			})
			pid := readPid(t, filepath.Join(dir, "pid"))
			cancel(cause)
			wg.Wait()
			if !errors.Is(err, cause) {
				t.Errorf("got %v", err)
			}
			gone(t, pid)
		})
	}
}

func TestAnswerToTermIsHeard(t *testing.T) {
	for code, want := range map[int]spool.OutcomeKind{ExitRelease: spool.Released, ExitFail: spool.Failed} {
		dir := t.TempDir()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		var wg sync.WaitGroup
		var err error
		job := newJob(t, nil)
		wg.Go(func() {
			err = runShell(t, ctx, fmt.Sprintf(`trap 'exit %d' TERM; echo $$ >pid.tmp; mv pid.tmp pid; while :; do sleep 0.01; done`, code), job, &CommandOptions{Dir: dir})
		})
		readPid(t, filepath.Join(dir, "pid"))
		cancel()
		wg.Wait()
		if got := spool.OutcomeOf(err); got.Kind != want {
			t.Errorf("exit code %d: got %+v, %v", code, got, err)
		}
	}
}

func TestCommandOverItsLimits(t *testing.T) {
	job := newJob(t, nil)
	err := runShell(t, t.Context(), "while :; do :; done", job, &CommandOptions{CPU: 200 * time.Millisecond})
	var e *ExitError
	if !errors.As(err, &e) || e.Over != "cpu" || err.Error() != "shell command: killed: over its cpu limit" {
		t.Errorf("got %v", err)
	}
}

func TestPHP(t *testing.T) {
	if _, err := exec.LookPath("php"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("php is not installed: ", err)
		}
		t.Skip("php is not installed: ", err)
	}
	script := filepath.Join(t.TempDir(), "job.php")
	err := os.WriteFile(script, []byte(`<?php
$payload = json_decode(file_get_contents('php://stdin'), true, 512, JSON_THROW_ON_ERROR);
$data = json_decode(getenv('SPOOL_JOB_DATA'), true);
if ($payload['data'] !== $data || $payload['uuid'] !== getenv('SPOOL_JOB_UUID')) { exit(2); }
switch ($data['do']) {
case 'release': echo "spool: release 60\n"; exit(75);
case 'throw': throw new RuntimeException('no such user '.$data['user']);
}
echo "mailed {$data['user']}\n";
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	h, err := Command([]string{"php", script}, &CommandOptions{Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	if err := h(t.Context(), newJob(t, map[string]any{"do": "mail", "user": "ü@example.com"})); err != nil || out.String() != "mailed ü@example.com\n" {
		t.Errorf("got %v, %q", err, out.String())
	}
	err = h(t.Context(), newJob(t, map[string]any{"do": "release"}))
	if got := spool.OutcomeOf(err); got.Kind != spool.Released || got.Delay != time.Minute {
		t.Errorf("got %+v, %v", got, err)
	}
	err = h(t.Context(), newJob(t, map[string]any{"do": "throw", "user": 7}))
	if err == nil || !strings.Contains(err.Error(), "php: exit code 255") || !strings.Contains(err.Error(), "no such user 7") {
		t.Errorf("got %v", err)
	}
}

func readPid(t *testing.T, path string) int {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if b, err := os.ReadFile(path); err == nil {
			pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("the command did not start")
	return 0
}

// gone waits until a process has ended; as a zombie it has.
func gone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		out, _ := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
		if s := strings.TrimSpace(string(out)); s == "" || s[0] == 'Z' {
			return
		}
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	t.Errorf("process %d still runs", pid)
}
