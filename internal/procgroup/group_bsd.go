//go:build unix && !linux

package procgroup

import (
	"errors"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watchInterval is how often a group is measured; each time runs ps.
const watchInterval = time.Second

func attributes(session bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: !session, Setsid: session}
}

// await blocks until the leader has ended, and leaves it to be reaped.
func (g *group) await() error {
	kq, err := unix.Kqueue()
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(kq) }()
	change := make([]unix.Kevent_t, 1)
	unix.SetKevent(&change[0], g.id, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	change[0].Fflags = unix.NOTE_EXIT
	events := make([]unix.Kevent_t, 1)
	for {
		_, err = unix.Kevent(kq, change, events, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ESRCH):
			return nil // it is a zombie already
		default:
			return err
		}
	}
}

// leash does nothing: there is no way to have the kernel end a group.
type leash struct{}

func (leash) prepare(*exec.Cmd) error { return nil }
func (leash) tie(int)                 {}
func (leash) close()                  {}

// processes reads the process table.
func processes() ([]proc, error) {
	out, err := exec.Command("ps", psArgs...).Output()
	if err != nil {
		return nil, err
	}
	return parsePS(string(out)), nil
}
