package testserver

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Windows has neither; sending them fails.
const (
	pauseSignal  = syscall.Signal(-1)
	resumeSignal = syscall.Signal(-2)
)

func attributes(*account, syscall.Signal) *syscall.SysProcAttr { return nil }

// signalTree ends a process; no other signal exists.
func signalTree(pid int, sig os.Signal) error {
	if sig != killSignal {
		return fmt.Errorf("signal %v on Windows: %w", sig, errors.ErrUnsupported)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}
