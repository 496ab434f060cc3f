//go:build unix

package listen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary is also the child. Its queue is a folder: each file is a
// job, whose content is what to do; the order of names is that of the queue.
func TestMain(m *testing.M) {
	if os.Getenv(EnvChild) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	os.Exit(child())
}

func child() int {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	jobs, _ := filepath.Glob("*.job")
	if len(jobs) == 0 {
		record("empty")
		return ExitEmpty
	}
	slices.Sort(jobs)
	b, err := os.ReadFile(jobs[0])
	if err != nil {
		panic(err)
	}
	if err := os.Remove(jobs[0]); err != nil {
		panic(err)
	}
	do, arg, _ := strings.Cut(string(b), " ")
	record(jobs[0], do)
	switch do {
	case "print":
		fmt.Println(arg)
		fmt.Fprintln(os.Stderr, arg)
	case "args":
		record(os.Args[1:]...)
		record(os.Getenv("GREETING"))
	case "version": // what was appended to this very program
		exe, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			panic(err)
		}
		record("version", string(exe[len(exe)-2:]))
	case "exit":
		code, _ := strconv.Atoi(arg)
		os.Exit(code)
	case "panic":
		panic("a job that panics")
	case "hang": // and ignore TERM, with a handler's process in a group of its own that does the same
		cmd := exec.Command("sh", "-c", `trap "" TERM; echo $$ >pid.tmp; mv pid.tmp pid; while :; do sleep 1; done`)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		_ = cmd.Run()
	case "late": // judged by the child itself
		time.Sleep(200 * time.Millisecond)
		record("judged")
		return 1
	case "drain": // finish the job when told to end
		record("running")
		<-term
		time.Sleep(100 * time.Millisecond)
		record("drained")
	case "hog":
		b := bytes.Repeat([]byte("x"), 200<<20)
		time.Sleep(time.Minute)
		record(string(b[:1]))
	case "spin":
		for n := 0; ; n++ { // until it is killed
			if n < 0 {
				record("overflow")
			}
		}
	case "nice":
		out, _ := exec.Command("nice").Output()
		record("nice", strings.TrimSpace(string(out)))
	}
	return 0
}

// record appends a line to the log that the test reads.
func record(words ...string) {
	f, err := os.OpenFile("log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, strings.Join(words, " ")); err != nil {
		panic(err)
	}
}

// lockedBuffer is a buffer that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// bench is a folder of jobs, and a parent that works them.
type bench struct {
	t      *testing.T
	dir    string
	log    lockedBuffer // the parent's
	o      Options
	work   Work
	cancel context.CancelFunc
	wg     sync.WaitGroup
	res    Result
	err    error
	lookAt chan struct{} // lets Wait return
}

func newBench(t *testing.T, jobs ...string) *bench {
	b := &bench{t: t, dir: t.TempDir(), lookAt: make(chan struct{})}
	b.o = Options{
		Dir: b.dir, Stdout: io.Discard, Stderr: io.Discard, Slack: 100 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
		Wait: func(ctx context.Context) error {
			select {
			case <-b.lookAt:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
	b.push(1, jobs...)
	return b
}

func (b *bench) push(first int, jobs ...string) {
	for i, job := range jobs {
		path := filepath.Join(b.dir, fmt.Sprintf("%02d.job", first+i))
		if err := os.WriteFile(path+".tmp", []byte(job), 0o600); err != nil {
			b.t.Fatal(err)
		}
		if err := os.Rename(path+".tmp", path); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) start() {
	ctx, cancel := context.WithCancel(b.t.Context())
	b.cancel = cancel
	b.wg.Go(func() { b.res, b.err = Run(ctx, b.work, &b.o) })
	b.t.Cleanup(func() { cancel(); b.wg.Wait() })
}

// stop ends the parent and returns what its children recorded.
func (b *bench) stop() string {
	b.t.Helper()
	b.cancel()
	b.wg.Wait()
	if b.err != nil || b.res.Reason != Interrupted || b.res.ExitCode != 0 {
		b.t.Errorf("Run returned %+v, %v", b.res, b.err)
	}
	return b.recorded()
}

func (b *bench) recorded() string {
	log, _ := os.ReadFile(filepath.Join(b.dir, "log"))
	return string(log)
}

func (b *bench) until(what string) {
	b.t.Helper()
	b.eventually(what, func() bool { return strings.Contains(b.recorded(), what) })
}

func (b *bench) eventually(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("not within 20 s: %s; recorded:\n%s", what, b.recorded())
		}
	}
}

func TestEachJobHasAChild(t *testing.T) {
	b := newBench(t, "print hello", "args", "print bye")
	var out, errs bytes.Buffer
	b.o.Stdout, b.o.Stderr = &out, &errs
	b.o.Env = append(os.Environ(), "GREETING=hi")
	b.work = Work{Connection: "redis", Queues: []string{"a", "b c"}, Tries: new(3), Timeout: time.Minute}
	b.start()
	b.until("empty")
	b.push(4, "print again")
	b.lookAt <- struct{}{}
	b.eventually("the second look", func() bool { return strings.Count(b.recorded(), "empty") == 2 })
	want := `01.job print
02.job args
queue:work redis --once --sleep=0 --queue=a,b c --tries=3 --timeout=60 --memory=0
hi
03.job print
empty
04.job print
empty
`
	if got := b.stop(); got != want {
		t.Errorf("recorded:\n%swant:\n%s", got, want)
	}
	if out.String() != "hello\nbye\nagain\n" || errs.String() != out.String() {
		t.Errorf("output %q, %q", out.String(), errs.String())
	}
	if b.res.Jobs != 4 || b.log.String() != "" {
		t.Errorf("%+v, log:\n%s", b.res, &b.log)
	}
}

func TestCrashesCostTheirAttemptOnly(t *testing.T) {
	b := newBench(t, "exit 1", "panic", "exit 137", "print fine")
	b.start()
	b.until("empty")
	if got := b.stop(); got != "01.job exit\n02.job panic\n03.job exit\n04.job print\nempty\n" {
		t.Errorf("recorded:\n%s", got)
	}
	for _, want := range []string{"exit code 1", "exit code 2", "exit code 137"} {
		if !strings.Contains(b.log.String(), want) {
			t.Errorf("no %q in:\n%s", want, &b.log)
		}
	}
}

func TestChildIsKilledAtItsTimeoutWithAllItStarted(t *testing.T) {
	b := newBench(t, "hang", "print fine")
	b.work.Timeout, b.o.CancelGrace = 400*time.Millisecond, 100*time.Millisecond
	// A child must be able to start in this time, on a busy machine too.
	b.o.Slack = 1500 * time.Millisecond
	began := time.Now()
	b.start()
	b.until("02.job")
	if took := time.Since(began); took < 2*time.Second || took > 10*time.Second {
		t.Errorf("the next job began after %v", took)
	}
	b.until("empty")
	b.stop()
	if !strings.Contains(b.log.String(), "child killed: it did not end at its timeout") {
		t.Errorf("log:\n%s", &b.log)
	}
	pid, err := os.ReadFile(filepath.Join(b.dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	b.eventually("end of the handler's process", func() bool {
		out, _ := exec.Command("ps", "-o", "state=", "-p", strings.TrimSpace(string(pid))).Output()
		return len(out) == 0 || out[0] == 'Z'
	})
}

func TestChildMayJudgeItsJobBeforeItIsKilled(t *testing.T) {
	b := newBench(t, "late", "print fine")
	b.work.Timeout, b.o.Slack = 100*time.Millisecond, time.Minute
	b.start()
	b.until("empty")
	if got := b.stop(); got != "01.job late\njudged\n02.job print\nempty\n" || strings.Contains(b.log.String(), "killed") {
		t.Errorf("recorded:\n%slog:\n%s", got, &b.log)
	}
}

func TestIdleChildrenAndSleepDoNotCountAgainstTheTimeout(t *testing.T) {
	b := newBench(t)
	b.work.Timeout, b.o.Wait, b.o.Sleep = 10*time.Millisecond, nil, 50*time.Millisecond
	b.o.CancelGrace, b.o.Slack = time.Second, 5*time.Second
	b.start()
	b.eventually("three looks", func() bool { return strings.Count(b.recorded(), "empty") >= 3 })
	b.stop()
	if b.log.String() != "" || b.res.Jobs != 0 {
		t.Errorf("%+v, log:\n%s", b.res, &b.log)
	}
}

func TestTermIsPassedToTheChild(t *testing.T) {
	b := newBench(t, "drain", "print never")
	b.start()
	b.until("running")
	if got := b.stop(); got != "01.job drain\nrunning\ndrained\n" {
		t.Errorf("recorded:\n%s", got)
	}
}

func TestAbortKillsAChildThatDoesNotEnd(t *testing.T) {
	b := newBench(t, "hang")
	abort := make(chan struct{})
	b.o.Abort = abort
	b.start()
	b.eventually("start of the handler", func() bool { _, err := os.Stat(filepath.Join(b.dir, "pid")); return err == nil })
	close(abort) // without effect before the end of the context
	b.cancel()
	done := make(chan struct{})
	go func() { b.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("still runs")
	}
	b.stop()
}

func TestChildOverItsLimits(t *testing.T) {
	b := newBench(t, "hog", "spin", "nice")
	b.work.Memory, b.o.CPU, b.o.Nice = 150, time.Second, 3
	b.start()
	b.until("empty")
	if got := b.stop(); !strings.Contains(got, "nice 3\n") {
		t.Errorf("recorded:\n%s", got)
	}
	for _, want := range []string{"over its memory limit", "over its cpu limit"} {
		if strings.Count(b.log.String(), want) != 1 {
			t.Errorf("no %q in:\n%s", want, &b.log)
		}
	}
}

func TestParentOverItsMemory(t *testing.T) {
	b := newBench(t, "print fine")
	b.work.Memory = 1
	res, err := Run(t.Context(), b.work, &b.o)
	if err != nil || res.Reason != Memory || res.ExitCode != ExitMemory || res.Jobs > 1 {
		t.Errorf("got %+v, %v", res, err)
	}
}

// build writes a program: this one, with a version appended.
func build(t *testing.T, path, version string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	// As a linker does it: written aside, and moved to its place.
	if err := os.WriteFile(path+".tmp", append(b, version...), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
}

func TestReplacedProgramIsUsedFromTheNextJobOn(t *testing.T) {
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		t.Skip("a child can't read itself here: ", err)
	}
	bin := t.TempDir()
	app, link := filepath.Join(bin, "app"), filepath.Join(bin, "current")
	build(t, app, "v1")
	b := newBench(t, "version")
	b.o.Executable = link
	if err := os.Symlink("app", link); err != nil {
		t.Fatal(err)
	}
	b.start()
	next := func(n int, version string) {
		t.Helper()
		b.push(n, "version")
		b.lookAt <- struct{}{}
		b.until("version " + version)
		b.eventually("the next look", func() bool { return strings.Count(b.recorded(), "empty") == n })
	}
	b.until("version v1\nempty")
	build(t, app, "v2") // rebuilt in place
	next(2, "v2")
	build(t, filepath.Join(bin, "app3"), "v3") // another release behind the link
	if err := os.Symlink("app3", link+".tmp"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".tmp", link); err != nil {
		t.Fatal(err)
	}
	next(3, "v3")
	// Gone for a moment: nothing is lost, and the parent survives.
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	b.push(4, "version")
	b.lookAt <- struct{}{}
	b.eventually("a failed start", func() bool { return strings.Contains(b.log.String(), "can't start a child") })
	build(t, link, "v4")
	b.until("version v4")
	b.stop()
}

func TestProgramThatDiesAtOnceIsHeldBack(t *testing.T) {
	b := newBench(t)
	b.o.Executable = filepath.Join(b.dir, "broken")
	if err := os.WriteFile(b.o.Executable, []byte("#!/bin/sh\necho started >>log\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	b.start()
	b.eventually("four starts", func() bool { return strings.Count(b.recorded(), "started") >= 4 })
	if took := time.Since(began); took < 700*time.Millisecond { // 100+200+400 ms
		t.Errorf("four starts within %v", took)
	}
	b.stop()
}

func TestWaitThatFails(t *testing.T) {
	b := newBench(t)
	b.o.Wait = func(context.Context) error { return errors.New("server is down") }
	b.o.Sleep = 20 * time.Millisecond
	b.start()
	b.eventually("three looks", func() bool { return strings.Count(b.recorded(), "empty") >= 3 })
	b.stop()
	if !strings.Contains(b.log.String(), "server is down") {
		t.Errorf("log:\n%s", &b.log)
	}
}

func TestRunThatCannotBegin(t *testing.T) {
	for _, exe := range []string{"/no/such/program", "no-such-program", "./no-such-program", "/etc/passwd"} {
		res, err := Run(t.Context(), Work{}, &Options{Executable: exe})
		if err == nil || res.ExitCode != 1 || !strings.Contains(err.Error(), strings.TrimPrefix(exe, "./")) {
			t.Errorf("%s: %+v, %v", exe, res, err)
		}
	}
}
