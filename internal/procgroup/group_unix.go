//go:build unix

package procgroup

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// group is a process group, named after its leader.
type group struct {
	id      int
	session bool
	leash   leash
}

// newGroup prepares cmd to become a leader when it starts.
func newGroup(cmd *exec.Cmd, spec *Spec) (*group, error) {
	g := &group{session: spec.Session}
	cmd.SysProcAttr = attributes(spec.Session)
	if err := g.leash.prepare(cmd); err != nil {
		return nil, err
	}
	return g, nil
}

// adopt is called with the id of the started leader.
func (g *group) adopt(pid int, spec *Spec) error {
	g.id = pid
	g.leash.tie(pid)
	if n := spec.Limits.Nice; n != 0 {
		if err := unix.Setpriority(unix.PRIO_PGRP, pid, n); err != nil {
			return fmt.Errorf("set niceness %d (a negative one needs privileges): %w", n, err)
		}
	}
	return nil
}

// terminate asks the leader, or all of the group, to end.
func (g *group) terminate(all bool) {
	pid := g.id
	if all {
		pid = -g.id
	}
	_ = unix.Kill(pid, unix.SIGTERM) // it may have ended meanwhile
	// A stopped process would not see it.
	_ = unix.Kill(pid, unix.SIGCONT)
}

// kill ends everything that belongs to the group. It looks first, because
// descendants outside of the group are found through their parents, and looks
// again until nothing is left, because they may be starting others.
func (g *group) kill() {
	if g.id == 0 {
		return
	}
	table, err := processes()
	_ = unix.Kill(-g.id, unix.SIGKILL)
	for end := time.Now().Add(2 * time.Second); err == nil; {
		left := 0
		for _, p := range members(table, g.id) {
			if !p.zombie && unix.Kill(p.pid, unix.SIGKILL) == nil {
				left++
			}
		}
		if left == 0 || time.Now().After(end) {
			return
		}
		time.Sleep(5 * time.Millisecond)
		table, err = processes()
	}
}

// clean kills what the ended leader has left behind. Its descendants outside
// of the group have other parents by now, so only a session is looked at.
func (g *group) clean() {
	if g.session {
		g.kill()
	} else {
		_ = unix.Kill(-g.id, unix.SIGKILL)
	}
}

// usage measures the group.
func (g *group) usage() (usage, error) {
	table, err := processes()
	if err != nil {
		return usage{}, err
	}
	in := members(table, g.id)
	if len(in) == 0 {
		return usage{}, errNoUsage
	}
	return sum(in), nil
}

func (g *group) close() { g.leash.close() }

// signalName names the signal that ended a process.
func signalName(s *os.ProcessState) string {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return ws.Signal().String()
	}
	return ""
}
