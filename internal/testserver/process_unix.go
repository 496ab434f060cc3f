//go:build unix

package testserver

import (
	"errors"
	"os"
	"syscall"
)

const (
	pauseSignal  = syscall.SIGSTOP
	resumeSignal = syscall.SIGCONT
)

// signalTree sends a signal to a process that we started and its children, the
// parent first: PostgreSQL works in children of the process it was started as.
func signalTree(pid int, sig os.Signal) error {
	pids := append([]int{pid}, children(pid)...)
	for i, p := range pids {
		err := syscall.Kill(p, sig.(syscall.Signal))
		if err != nil && (i == 0 || !errors.Is(err, syscall.ESRCH)) {
			return os.NewSyscallError("kill", err)
		}
	}
	return nil
}
