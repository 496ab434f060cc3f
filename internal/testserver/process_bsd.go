//go:build unix && !linux

package testserver

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// attributes sets owner and a process group of its own, so that an interrupt
// from the terminal reaches only us. There is no death signal here: Main stops
// the servers.
func attributes(a *account, _ syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// children returns the direct children of a process.
func children(parent int) []int {
	out, _ := exec.Command("pgrep", "-P", strconv.Itoa(parent)).Output() // fails if there are none
	var pids []int
	for _, f := range strings.Fields(string(out)) {
		if pid, err := strconv.Atoi(f); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
