package laravel

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/worker"
)

// roles are what this test binary does as a process of its own, for tests that
// kill a process of Spool; see [application.startRole]. A file of cells adds
// its own here. What a role returns is the exit code.
func roles() map[string]func() int {
	return map[string]func() int{
		"endure": endureRole,
	}
}

const roleVar = "INTEROP_ROLE"

func TestMain(m *testing.M) {
	if name := os.Getenv(roleVar); name != "" {
		os.Exit(roles()[name]())
	}
	testserver.Parallel(20) // cells mostly wait for each other's processes
	testserver.Main(m)
}

// process is a process that runs beside a test, and ends with it.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  lockedBuffer
	done chan struct{}
	err  error // once done is closed
}

// start starts a command of Laravel, e.g. a worker that stays.
func (a *application) start(args ...string) *process {
	a.t.Helper()
	return startProcess(a.t, a.command("artisan", append(args, "--no-ansi")...))
}

// startRole starts this test binary in one of its roles, with the
// application's folder as its working directory.
func (a *application) startRole(name string) *process {
	a.t.Helper()
	if roles()[name] == nil {
		a.t.Fatalf("no role %s: there are %v", name, slices.Sorted(maps.Keys(roles())))
	}
	self, err := os.Executable()
	if err != nil {
		a.t.Fatal(err)
	}
	cmd := exec.CommandContext(a.t.Context(), self)
	cmd.Dir = a.dir
	cmd.Env = append(os.Environ(), roleVar+"="+name, "INTEROP_REPORT="+a.report)
	return startProcess(a.t, cmd)
}

func startProcess(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s printed\n%s", strings.Join(cmd.Args, " "), p.out.String())
		}
	})
	return p
}

// kill kills the process (SIGKILL) and waits for its end.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
	<-p.done
}

// ended says whether the process has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// exitCode waits for the end of the process and returns its exit code.
func (p *process) exitCode() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s doesn't end", strings.Join(p.cmd.Args, " "))
	}
	return p.cmd.ProcessState.ExitCode()
}

// goRun is a worker of Spool that runs beside a test.
type goRun struct {
	t    *testing.T
	stop context.CancelFunc
	done chan struct{}
	res  worker.Result
	err  error
}

// startGo starts a worker of Spool that stays until it is stopped, at the
// latest with the test.
func (a *application) startGo(mux *spool.Mux, opts ...func(*worker.Options)) *goRun {
	a.t.Helper()
	w := a.goWorker(mux, opts...)
	ctx, stop := context.WithCancel(a.t.Context())
	r := &goRun{t: a.t, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.res, r.err = w.Run(ctx)
	}()
	a.t.Cleanup(func() { stop(); <-r.done })
	return r
}

// result waits for the worker to end by itself.
func (r *goRun) result() worker.Result {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatal("the worker doesn't end")
	}
	if r.err != nil {
		r.t.Fatal(r.err)
	}
	return r.res
}

// ended says whether the worker has ended.
func (r *goRun) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// patience is how long anything that must happen may take on a busy machine.
const patience = 3 * time.Minute

// await waits until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it never happens", what)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
