package testserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 60 * time.Second // until a server answers; a cold disk is slow
	stopTimeout  = 15 * time.Second // until a server that was asked to stop is killed
	probeTimeout = 5 * time.Second  // of one try whether it answers
)

// server is one server process and its data. Its methods are safe for
// concurrent use.
type server struct {
	kind    kind
	persist bool     // data survives Kill
	args    []string // of the test, after ours
	dir     string   // data, log
	port    int
	owner   *account // who runs the server, nil: we ourselves

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended and was waited for
}

// missingError says that a server's program is not installed.
type missingError struct{ name string }

func (e *missingError) Error() string {
	return e.name + " is not installed (make test installs what is missing on Debian as root)"
}

// errExited says that the server ended instead of answering: most likely its
// port was taken, or what it left behind when it was killed is still there.
var errExited = errors.New("the server ended while starting")

// start prepares the data of a server and starts it on a free port.
func start(k kind, persist bool, args []string) (*server, error) {
	if err := k.find(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "spool-"+k.name+"-")
	if err != nil {
		return nil, err
	}
	s := &server{kind: k, persist: persist, args: args, dir: dir}
	track(s)
	if k.account != "" {
		if s.owner, err = accountFor(k.account, dir); err != nil {
			return nil, err
		}
	}
	if k.prepare != nil {
		if err := k.prepare(s); err != nil {
			return nil, fmt.Errorf("prepare the data of %s: %w", k.name, err)
		}
	}
	for range 5 {
		if s.port, err = freePort(); err != nil {
			return nil, err
		}
		if err = s.start(); !errors.Is(err, errExited) {
			break
		}
	}
	if err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// addr returns host and port.
func (s *server) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// start runs the program and waits until it answers.
func (s *server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		return fmt.Errorf("%s runs already", s.kind.name)
	}
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	name, args := s.kind.command(s)
	cmd := s.newCommand(name, append(args, s.args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.kind.name, err)
	}
	done := make(chan struct{})
	go func() { // ends with the process, which stop and kill see to and wait for
		defer close(done)
		_ = cmd.Wait() // how it ended doesn't matter: mostly by our signal
	}()
	s.cmd, s.done = cmd, done
	if err := s.awaitReady(); err != nil {
		_ = signalTree(cmd.Process.Pid, killSignal)
		<-done
		s.cmd = nil
		return fmt.Errorf("%s on port %d: %w; the end of its log:\n%s", s.kind.name, s.port, err, s.logTail())
	}
	return nil
}

// newCommand returns a command that runs as the server's owner, in its folder,
// with a plain environment, and ends with this process.
func (s *server) newCommand(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LC_ALL=C", "TZ=UTC"}
	if v := os.Getenv("SystemRoot"); v != "" { // Windows opens no socket without it
		cmd.Env = append(cmd.Env, "SystemRoot="+v)
	}
	cmd.SysProcAttr = attributes(s.owner, s.kind.deathSignal)
	return cmd
}

// run runs a program that prepares data.
func (s *server) run(name string, args ...string) error {
	if out, err := s.newCommand(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w:\n%s", filepath.Base(name), err, out)
	}
	return nil
}

// awaitReady waits until this very server answers, not one that happens to
// have the port.
func (s *server) awaitReady() error {
	deadline := time.Now().Add(startTimeout)
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := s.kind.probe(s)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no answer within %v: %w", startTimeout, err)
		}
		select {
		case <-s.done:
			return errExited
		case <-time.After(pause):
		}
	}
}

// stop asks the server to end, as an operator would, and waits for it.
func (s *server) stop() { s.end(s.kind.stopSignal) }

// end sends a signal that ends the server and waits for it. After stopTimeout
// it is killed.
func (s *server) end(sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	pid := s.cmd.Process.Pid
	_ = signalTree(pid, resumeSignal) // a paused server hears nothing
	if err := s.cmd.Process.Signal(sig); err != nil {
		_ = signalTree(pid, killSignal) // Windows knows no other
	}
	select {
	case <-s.done:
	case <-time.After(stopTimeout):
		_ = signalTree(pid, killSignal)
		<-s.done
	}
	s.cmd = nil
}

// kill ends the server at once, as a crash would.
func (s *server) kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	err := signalTree(s.cmd.Process.Pid, killSignal)
	if err == nil {
		<-s.done
		s.cmd = nil
	}
	return err
}

// signal sends a signal to the server and its children.
func (s *server) signal(sig os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return fmt.Errorf("%s doesn't run", s.kind.name)
	}
	return signalTree(s.cmd.Process.Pid, sig)
}

// restart starts a stopped or killed server on its old port with its old data.
// What a killed one left behind may need a moment to go away: PostgreSQL's
// children notice the death of their parent when they next look.
func (s *server) restart() error {
	deadline := time.Now().Add(startTimeout)
	for {
		err := s.start()
		if !errors.Is(err, errExited) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// remove ends the server, quickly because nothing is to be kept, and deletes
// its data.
func (s *server) remove() {
	s.end(s.kind.deathSignal)
	_ = os.RemoveAll(s.dir)
}

func (s *server) logPath() string { return filepath.Join(s.dir, "server.log") }

// logTail returns the last 4 KiB of the server's log.
func (s *server) logTail() string {
	b, err := os.ReadFile(s.logPath())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4096):])
}

// freePort returns a port that nobody listens on. It lies below the range from
// which systems take the ports of outgoing connections: one of those could
// otherwise occupy the port while the server is down.
func freePort() (int, error) {
	for range 100 {
		port := 15000 + rand.IntN(17000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port between 15000 and 32000")
}

// account is the system account a server runs as.
type account struct{ uid, gid uint32 }

// accountFor returns the account that a server runs as, nil for our own, and
// makes it the owner of dir. PostgreSQL and MySQL refuse to run as root.
func accountFor(name, dir string) (*account, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &account{uint32(uid), uint32(gid)}, os.Chown(dir, int(uid), int(gid))
}

// killSignal ends a process at once, on every system.
const killSignal = syscall.SIGKILL
