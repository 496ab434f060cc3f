//go:build unix

package procgroup

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary is also the program under test: argument 1 after this
// variable names what it does.
const actAs = "PROCGROUP_TEST_ACT"

func TestMain(m *testing.M) {
	switch os.Getenv(actAs) {
	case "":
		goleak.VerifyTestMain(m)
	case "parent": // starts a group, says so, and waits to be killed
		p, err := Start(&Spec{Path: "sh", Args: []string{"-c", os.Getenv("SCRIPT")}, Stdout: os.Stdout,
			Env: append(os.Environ(), actAs+"=")})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		p.Wait()
	case "hog": // holds memory
		n, _ := strconv.Atoi(os.Getenv("MB"))
		b := make([]byte, n<<20)
		for i := range b {
			b[i] = byte(i)
		}
		fmt.Println("holding")
		time.Sleep(time.Minute)
		fmt.Println(b[len(b)-1])
	case "spin":
		for n := 0; ; n++ { // until it is killed
			if n < 0 {
				fmt.Println("overflow")
			}
		}
	}
}

func sh(script string) *Spec { return &Spec{Path: "sh", Args: []string{"-c", script}} }

func self(act string, env ...string) *Spec {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return &Spec{Path: exe, Env: append(append(os.Environ(), actAs+"="+act), env...)}
}

// eventually polls until ok, for at most ten seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within 10 s:", what)
		}
	}
}

func alive(pid int) bool {
	table, err := processes()
	if err != nil {
		panic(err)
	}
	for _, p := range table {
		if p.pid == pid {
			return !p.zombie
		}
	}
	return false
}

// pids reads n process ids from files that scripts write.
func pids(t *testing.T, dir string, n int) []int {
	t.Helper()
	var out []int
	eventually(t, "pid files", func() bool {
		out = nil
		files, _ := filepath.Glob(filepath.Join(dir, "*.pid"))
		for _, f := range files {
			b, _ := os.ReadFile(f)
			if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
				out = append(out, pid)
			}
		}
		return len(out) == n
	})
	return out
}

func TestExit(t *testing.T) {
	for _, tt := range []struct {
		script string
		want   Exit
	}{
		{"exit 0", Exit{}},
		{"exit 75", Exit{Code: 75}},
		{"kill -SEGV $$", Exit{Code: -1, Signal: "segmentation fault"}},
	} {
		got, err := Run(t.Context(), sh(tt.script))
		if err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v; want %+v", tt.script, got, err, tt.want)
		}
	}
}

func TestStartErrors(t *testing.T) {
	for _, spec := range []*Spec{
		{Path: "no-such-program-here"},
		{Path: "/no/such/program"},
		{Path: "sh", Dir: "/no/such/folder"},
		{Path: "/etc/passwd"},
		{Path: "sh", Limits: Limits{Nice: 5}, Env: []string{"A=\x00"}},
	} {
		if _, err := Start(spec); err == nil {
			t.Errorf("%+v started", spec)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrClosedPipe)
	if _, err := Run(ctx, sh("exit 0")); err != io.ErrClosedPipe { //nolint:errorlint // it must be the cause itself
		t.Errorf("after the end of its context: %v", err)
	}
}

func TestInputAndOutput(t *testing.T) {
	in := bytes.Repeat([]byte("a\x00b\xff"), 5<<20/4)
	var out bytes.Buffer
	spec := sh("cat; echo error >&2")
	tail := NewTail(3)
	spec.Stdin, spec.Stdout, spec.Stderr = bytes.NewReader(in), &out, tail
	if exit, err := Run(t.Context(), spec); err != nil || !exit.OK() {
		t.Fatal(exit, err)
	}
	if !bytes.Equal(out.Bytes(), in) || string(tail.Bytes()) != "or\n" {
		t.Errorf("got %d bytes and %q", out.Len(), tail.Bytes())
	}
	// A program that doesn't read its input.
	spec = sh("exit 0")
	spec.Stdin = bytes.NewReader(in)
	if exit, err := Run(t.Context(), spec); err != nil || !exit.OK() {
		t.Error(exit, err)
	}
}

func TestEndOfContextKillsTheWholeGroup(t *testing.T) {
	for name, script := range map[string]string{
		"a group that obeys":         `sh -c 'echo $$ >b.pid; exec sleep 100' & echo $$ >a.pid; wait`,
		"a group that ignores TERM":  `trap "" TERM; sh -c 'trap "" TERM; echo $$ >b.pid; while :; do sleep 1; done' & echo $$ >a.pid; while :; do sleep 1; done`,
		"a child in another group":   `set -m; sh -c 'trap "" TERM; echo $$ >b.pid; while :; do sleep 1; done' & echo $$ >a.pid; wait; wait`,
		"a child in another session": `setsid sh -c 'trap "" TERM; echo $$ >b.pid; while :; do sleep 1; done' & echo $$ >a.pid; trap "" TERM; while :; do sleep 1; done`,
		"a group that is stopped":    `sh -c 'echo $$ >b.pid; exec sleep 100' & echo $$ >a.pid; kill -STOP $$`,
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "another group") {
				// It obeys TERM itself, so only an immediate kill finds its child.
				script = "trap '' TERM; " + script
			}
			spec := sh(script)
			spec.Dir, spec.Grace = t.TempDir(), 200*time.Millisecond
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan Exit, 1)
			go func() {
				exit, err := Run(ctx, spec)
				if err != nil {
					t.Error(err)
				}
				ended <- exit
			}()
			all := pids(t, spec.Dir, 2)
			cancel()
			select {
			case exit := <-ended:
				if exit.OK() || !exit.Asked {
					t.Errorf("ended with %+v", exit)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("still runs")
			}
			for _, pid := range all {
				eventually(t, "end of all", func() bool { return !alive(pid) })
			}
		})
	}
}

func TestTerminateReachesTheLeaderOnly(t *testing.T) {
	spec := sh(`trap 'kill -0 $child && echo child lives; exit 3' TERM; sleep 100 & child=$!; echo $$ >a.pid; wait`)
	var out bytes.Buffer
	spec.Dir, spec.Stdout, spec.Session = t.TempDir(), &out, true
	p, err := Start(spec)
	if err != nil {
		t.Fatal(err)
	}
	pids(t, spec.Dir, 1)
	p.Terminate()
	if exit := p.Wait(); exit.Code != 3 || !exit.Asked || out.String() != "child lives\n" {
		t.Errorf("got %+v, output %q", exit, out.String())
	}
	p.Kill() // of an ended one is nothing
}

func TestWhatTheLeaderLeavesBehindIsKilled(t *testing.T) {
	for _, session := range []bool{false, true} {
		script := `sh -c 'echo $$ >a.pid; exec sleep 100' & while [ ! -s a.pid ]; do :; done`
		if session { // also from another group of the session
			script = "set -m; " + script
		}
		spec := sh(script)
		var out bytes.Buffer // the background process holds the pipe
		spec.Dir, spec.Stdout, spec.Session = t.TempDir(), &out, session
		start := time.Now()
		if exit, err := Run(t.Context(), spec); err != nil || !exit.OK() || exit.Asked {
			t.Fatal(exit, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("Wait took %v", took)
		}
		if pid := pids(t, spec.Dir, 1)[0]; alive(pid) {
			t.Errorf("session %v: %d still runs", session, pid)
		}
	}
}

func TestEscapedDaemonDoesNotHoldUs(t *testing.T) {
	spec := sh(`setsid sh -c 'echo $$ >a.pid; exec sleep 100' & while [ ! -s a.pid ]; do :; done`)
	var out bytes.Buffer
	spec.Dir, spec.Stdout = t.TempDir(), &out
	start := time.Now()
	exit, err := Run(t.Context(), spec)
	if err != nil || !exit.OK() || time.Since(start) > 5*time.Second {
		t.Errorf("got %+v, %v after %v", exit, err, time.Since(start))
	}
	pid := pids(t, spec.Dir, 1)[0]
	if !alive(pid) {
		t.Error("the daemon was killed")
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

func TestOurDeathKillsTheWholeGroup(t *testing.T) {
	if !diesWithUs {
		t.Skip("this system has no means to end a group with its parent")
	}
	dir := t.TempDir()
	spec := self("parent", "SCRIPT=cd "+dir+`; sh -c 'echo $$ >b.pid; sleep 100; :' & echo $$ >a.pid; echo ready; wait`)
	cmd := exec.Command(spec.Path)
	cmd.Env = spec.Env
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	all := pids(t, dir, 2)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for _, pid := range all {
		eventually(t, "death of the group", func() bool { return !alive(pid) })
	}
}

func TestLimits(t *testing.T) {
	t.Run("memory of a grandchild", func(t *testing.T) {
		spec := self("hog", "MB=200")
		spec.Args = []string{"-c", spec.Path + " & wait"}
		spec.Path, spec.Limits = "sh", Limits{Memory: 100 << 20}
		exit, err := Run(t.Context(), spec)
		if err != nil || exit.Over != "memory" || exit.OK() {
			t.Errorf("got %+v, %v", exit, err)
		}
	})
	t.Run("memory within", func(t *testing.T) {
		spec := self("hog", "MB=20")
		r, w := io.Pipe()
		spec.Stdout, spec.Limits = w, Limits{Memory: 300 << 20, CPU: time.Hour}
		p, err := Start(spec)
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(r).ReadString('\n'); line != "holding\n" {
			t.Error(line, err)
		}
		select {
		case <-p.Done():
			t.Errorf("ended: %+v", p.Wait())
		case <-time.After(4 * watchInterval):
		}
		u, err := p.group.usage()
		if err != nil || u.memory < 20<<20 || u.memory > 300<<20 {
			t.Errorf("usage %+v, %v", u, err)
		}
		p.Kill()
		if exit := p.Wait(); exit.Over != "" || !exit.Asked {
			t.Errorf("got %+v", exit)
		}
	})
	t.Run("cpu", func(t *testing.T) {
		spec := self("spin", "GOMAXPROCS=1")
		spec.Limits.CPU = 300 * time.Millisecond
		exit, err := Run(t.Context(), spec)
		if err != nil || exit.Over != "cpu" || exit.String() != "killed: over its cpu limit" {
			t.Errorf("got %+v, %v", exit, err)
		}
	})
	t.Run("nice", func(t *testing.T) {
		var out bytes.Buffer
		spec := sh("sleep 0.2; nice")
		spec.Stdout, spec.Limits.Nice = &out, 7
		if _, err := Run(t.Context(), spec); err != nil || out.String() != "7\n" {
			t.Errorf("got %q, %v", out.String(), err)
		}
	})
}

func TestProcessTableAsPSPrintsIt(t *testing.T) {
	out, err := exec.Command("ps", psArgs...).Output()
	if err != nil {
		t.Skip("no ps: ", err)
	}
	for _, p := range parsePS(string(out)) {
		if p.pid == os.Getpid() {
			if p.ppid != os.Getppid() || p.pgid != syscall.Getpgrp() || p.memory < 1<<20 || p.zombie {
				t.Errorf("got %+v", p)
			}
			return
		}
	}
	t.Errorf("we are not in it:\n%s", out)
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0:01.50": 1500 * time.Millisecond, "00:00:07": 7 * time.Second,
		"1-02:03:04": 26*time.Hour + 3*time.Minute + 4*time.Second, "12:34": 754 * time.Second, "?": 0,
	} {
		if got := parseTime(s); got != want {
			t.Errorf("%s: got %v, want %v", s, got, want)
		}
	}
}

func TestMembers(t *testing.T) {
	table := []proc{
		{pid: 1}, {pid: 10, ppid: 1, pgid: 10},
		{pid: 30, ppid: 20, pgid: 30},              // a descendant, listed before its parent
		{pid: 20, ppid: 10, pgid: 20},              // a child in another group
		{pid: 40, ppid: 1, pgid: 10},               // an orphan in the group
		{pid: 50, ppid: 1, pgid: 50, session: 10},  // an orphan in the session
		{pid: 60, ppid: 1, pgid: 60, session: 60},  // a stranger
		{pid: 70, ppid: 60, pgid: 70, session: 60}, // and its child
	}
	got := make(map[int]bool)
	for _, p := range members(table, 10) {
		got[p.pid] = true
	}
	for _, p := range table {
		if want := p.pid >= 10 && p.pid <= 50; got[p.pid] != want {
			t.Errorf("process %d: member %v, want %v", p.pid, got[p.pid], want)
		}
	}
}
