package proof

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fleet is the worker processes of one queue, those that have ended included.
type fleet struct {
	t         *testing.T
	program   program
	dir       string
	processes []*process
}

// process is a worker process.
type process struct {
	cmd    *exec.Cmd
	diary  string
	log    string
	stdin  io.Closer     // while it is open the process lives
	ready  chan struct{} // closed when it has begun to look for jobs
	done   chan struct{} // closed when it has ended
	killed time.Time     // zero: it wasn't
}

// newFleet returns a fleet without processes. With the test they all end.
func newFleet(t *testing.T, p program) *fleet {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the proofs stop processes by SIGTERM, which Windows hasn't got")
	}
	f := &fleet{t: t, program: p, dir: t.TempDir()}
	t.Cleanup(func() {
		for _, p := range f.processes {
			_ = p.stdin.Close()
			_ = p.cmd.Process.Kill() // unless it has ended
			<-p.done
		}
		if t.Failed() {
			f.showLogs()
		}
	})
	return f
}

// start starts a process. It doesn't wait until it works.
func (f *fleet) start() *process {
	f.t.Helper()
	name := filepath.Join(f.dir, fmt.Sprintf("worker%d", len(f.processes)))
	program := f.program
	program.Diary = name + ".diary"
	text, err := json.Marshal(program)
	if err != nil {
		f.t.Fatal(err)
	}
	log, err := os.Create(name + ".log")
	if err != nil {
		f.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), programEnv+"="+string(text))
	cmd.Stderr = log
	p := &process{cmd: cmd, diary: program.Diary, log: name + ".log", ready: make(chan struct{}), done: make(chan struct{})}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		f.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.processes = append(f.processes, p)
	go func() { // ends with the process, which the test's cleanup waits for
		defer close(p.done)
		lines := bufio.NewScanner(out)
		if lines.Scan() && lines.Text() == "ready" {
			close(p.ready)
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // terminate looks at how it ended
	}()
	return p
}

// startReady starts n processes and waits until all of them look for jobs.
func (f *fleet) startReady(n int) []*process {
	f.t.Helper()
	ps := make([]*process, n)
	for i := range ps {
		ps[i] = f.start()
	}
	for _, p := range ps {
		select {
		case <-p.ready:
		case <-p.done:
			f.t.Fatalf("worker %d ended at once: %v", p.cmd.Process.Pid, p.cmd.ProcessState)
		case <-time.After(30 * time.Second):
			f.t.Fatalf("worker %d isn't ready", p.cmd.Process.Pid)
		}
	}
	return ps
}

// kill ends a process without any warning.
func (f *fleet) kill(p *process) {
	f.t.Helper()
	// Before and not after: beanstalkd hands a dead process's jobs on in less
	// time than it takes to learn of the death here.
	p.killed = time.Now()
	if err := p.cmd.Process.Kill(); err != nil {
		f.t.Fatalf("kill worker %d: %v", p.cmd.Process.Pid, err)
	}
	<-p.done
}

// alive says whether a process runs.
func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop ends the processes that run as an operator would, and checks that they
// end well.
func (f *fleet) stop() {
	f.t.Helper()
	var running []*process
	for _, p := range f.processes {
		if p.killed.IsZero() {
			running = append(running, p)
			if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				f.t.Errorf("worker %d: %v (it ended by itself: %v)", p.cmd.Process.Pid, err, p.cmd.ProcessState)
			}
		}
	}
	for _, p := range running {
		select {
		case <-p.done:
		case <-time.After(40 * time.Second):
			f.t.Fatalf("worker %d doesn't stop", p.cmd.Process.Pid)
		}
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			f.t.Errorf("worker %d: %v, want exit code 0", p.cmd.Process.Pid, p.cmd.ProcessState)
		}
	}
}

// logs returns what the processes have logged.
func (f *fleet) logs() string {
	var all strings.Builder
	for _, p := range f.processes {
		text, err := os.ReadFile(p.log)
		if err != nil {
			f.t.Error(err)
		}
		all.Write(text)
	}
	return all.String()
}

func (f *fleet) showLogs() {
	for _, p := range f.processes {
		text, _ := os.ReadFile(p.log)
		if n := len(text); n > 4000 {
			text = append(append(text[:2000:2000], "\n…\n"...), text[n-2000:]...)
		}
		f.t.Logf("worker %d (%v, killed %v) logged:\n%s", p.cmd.Process.Pid, p.cmd.ProcessState, !p.killed.IsZero(), text)
	}
}
