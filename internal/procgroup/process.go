// Package procgroup runs a command together with everything it starts, so
// that all of it can be limited, ended and really killed as one.
//
// It exists because killing a process by its id leaves its children running:
// a job that was "killed" at its timeout would go on in the background. It
// imports the standard library and golang.org/x/sys only.
//
// # What is promised, by system
//
//   - The group ends with its leader: what the leader leaves behind in the
//     background is killed before [Process.Wait] returns. A program that must
//     outlive its job says so by starting a session of its own (setsid).
//   - [Process.Kill] reaches the whole group. On Linux, macOS and the BSDs it
//     also reaches descendants that moved to another group or session, as long
//     as their parents live; with [Spec.Session] on Linux, whatever is in the
//     session. On Windows it reaches whatever is in the job object, which
//     nobody can leave.
//   - If this process dies, by SIGKILL too, so does the group: on Linux by the
//     parent-death signal for the leader and by a signal that the kernel sends
//     to the group when our end of an inherited pipe (descriptor 3) closes; on
//     Windows by the job object. macOS and the BSDs have no such means.
//   - Memory and CPU time are measured over the whole group, several times a
//     second, and the group is killed when it is over. On Linux they come from
//     /proc, on macOS and the BSDs from ps, on Windows from the job object
//     (there memory is what the group has committed). Memory is resident
//     memory, in which pages shared by two processes count twice. Resource
//     limits of the kernel (RLIMIT_AS, RLIMIT_DATA, RLIMIT_CPU) are not used:
//     they count one process alone, and address space says nothing about a Go
//     or Java program, which reserves far more than it uses.
package procgroup

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// Spec says what to start. Nothing is run through a shell.
type Spec struct {
	// Path is the program, looked up in PATH if it has no separator.
	Path string
	// Args are its arguments, without the program's own name.
	Args []string
	// Dir is the folder it starts in; empty is ours.
	Dir string
	// Env is its whole environment; nil is ours.
	Env []string
	// Stdin is what it reads; nil is an empty file. A program that doesn't read
	// all of it is no error.
	Stdin io.Reader
	// Stdout and Stderr receive its output; nil drops it. An *os.File is handed
	// to it as it is, another writer is written to by one goroutine (by one for
	// both if they are the same) until Wait returns.
	Stdout, Stderr io.Writer
	// Session gives the group a session of its own, which the groups that its
	// members start stay part of. Only for a leader that itself starts groups.
	Session bool
	// Limits end the group when it uses too much.
	Limits Limits
	// Grace is how long [Run] waits between asking the group to end and killing
	// it; 3 s. Negative kills at once.
	Grace time.Duration
}

// Limits are what a group may use.
type Limits struct {
	// Memory is the most bytes of memory the whole group may hold; 0 is any.
	Memory int64
	// CPU is the most processor time the whole group may use, over all cores,
	// its ended children included; 0 is any.
	CPU time.Duration
	// Nice is the niceness of the group, from -20 to 19, where more is more
	// polite; 0 leaves it as ours. On Windows it picks a priority class.
	Nice int
}

// Exit is how a group ended.
type Exit struct {
	// Code is the leader's exit code, -1 if a signal ended it.
	Code int
	// Signal is the name of that signal, if any.
	Signal string
	// Over is the limit that ended the group, "memory" or "cpu", if any.
	Over string
	// Asked says that the group was asked to end, or killed, before its leader
	// was seen to have ended by itself.
	Asked bool
}

// OK says that the leader ended with code 0.
func (e Exit) OK() bool { return e.Code == 0 }

func (e Exit) String() string {
	switch {
	case e.Over != "":
		return "killed: over its " + e.Over + " limit"
	case e.Signal != "":
		return "ended by signal: " + e.Signal
	default:
		return fmt.Sprintf("exit code %d", e.Code)
	}
}

// Process is a started group. Its methods are safe for concurrent use.
type Process struct {
	spec  Spec
	cmd   *exec.Cmd
	group *group
	done  chan struct{}
	exit  Exit

	// mu is held while signals are sent, and ended is set before the leader is
	// reaped: afterwards its id may be another's.
	mu    sync.Mutex
	ended bool
	asked bool
	over  string
}

// Start starts the command. The caller must call [Process.Wait], or receive
// from [Process.Done], to see it end.
func Start(spec *Spec) (*Process, error) {
	p := &Process{spec: *spec, done: make(chan struct{})}
	p.cmd = exec.Command(spec.Path, spec.Args...)
	p.cmd.Dir, p.cmd.Env = spec.Dir, spec.Env
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = spec.Stdin, spec.Stdout, spec.Stderr
	// An escaped grandchild may hold our pipes for ever.
	p.cmd.WaitDelay = time.Second
	started := make(chan error, 1)
	go p.run(started) // ends with the leader; Wait waits for it
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// Run starts the command and waits for it. When ctx ends, the group is asked
// to end, and killed after Grace. The error is only that of starting it.
func Run(ctx context.Context, spec *Spec) (Exit, error) {
	if err := ctx.Err(); err != nil {
		return Exit{}, context.Cause(ctx)
	}
	p, err := Start(spec)
	if err != nil {
		return Exit{}, err
	}
	select {
	case <-p.done:
		return p.exit, nil
	case <-ctx.Done():
	}
	if spec.Grace >= 0 {
		grace := spec.Grace
		if grace == 0 {
			grace = 3 * time.Second
		}
		p.TerminateGroup()
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-p.done:
			return p.exit, nil
		case <-t.C:
		}
	}
	p.Kill()
	return p.Wait(), nil
}

// Pid is the leader's process id, which names the group too.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the group has ended and its output has been copied.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the group to end.
func (p *Process) Wait() Exit {
	<-p.done
	return p.exit
}

// Terminate asks the leader alone to end: SIGTERM, or a Ctrl-Break event to
// its group on Windows.
func (p *Process) Terminate() { p.signal(func() { p.group.terminate(false) }) }

// TerminateGroup asks every member of the group to end.
func (p *Process) TerminateGroup() { p.signal(func() { p.group.terminate(true) }) }

// Kill ends the whole group at once.
func (p *Process) Kill() { p.signal(func() { p.group.kill() }) }

func (p *Process) signal(send func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.asked = true
	send()
}

// run starts the command and sees it to its end on one thread: Linux sends
// the parent-death signal when the thread that started a process ends, so the
// thread must live as long as the process.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := p.start(); err != nil {
		started <- err
		return
	}
	started <- nil

	stop := make(chan struct{})
	var watcher sync.WaitGroup
	if p.spec.Limits.Memory > 0 || p.spec.Limits.CPU > 0 {
		watcher.Go(func() { p.watch(stop) })
	}
	// The leader's id can't be given to another process until it is reaped, so
	// what is left of its group is killed before that.
	wait := p.group.await()
	if wait != nil {
		_ = p.cmd.Wait()
	}
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	close(stop)
	watcher.Wait()
	p.group.clean()
	if wait == nil {
		// Its error repeats the state, or says that a pipe stayed open.
		_ = p.cmd.Wait()
	}
	p.group.close()
	p.exit = exitOf(p.cmd.ProcessState)
	p.exit.Over, p.exit.Asked = p.over, p.asked
	close(p.done)
}

func (p *Process) start() (err error) {
	if p.group, err = newGroup(p.cmd, &p.spec); err != nil {
		return err
	}
	if err = p.cmd.Start(); err == nil {
		if err = p.group.adopt(p.cmd.Process.Pid, &p.spec); err != nil {
			p.group.kill()
			_ = p.cmd.Process.Kill() // if the group couldn't be formed at all
			_ = p.cmd.Wait()
		}
	}
	if err != nil {
		p.group.close()
		// The error of a missing folder names the program.
		if _, derr := os.Stat(p.spec.Dir); p.spec.Dir != "" && derr != nil {
			return fmt.Errorf("folder to start in: %w", derr)
		}
	}
	return err
}

func exitOf(s *os.ProcessState) Exit {
	if s == nil {
		return Exit{Code: -1}
	}
	return Exit{Code: s.ExitCode(), Signal: signalName(s)}
}
