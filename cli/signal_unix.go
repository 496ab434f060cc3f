//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// stopSignals have a worker drain and exit.
var stopSignals = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}

// notifyPause asks for the signals that pause and resume.
func notifyPause(c chan<- os.Signal) { signal.Notify(c, syscall.SIGUSR2, syscall.SIGCONT) }

func isPause(s os.Signal) bool  { return s == syscall.SIGUSR2 }
func isResume(s os.Signal) bool { return s == syscall.SIGCONT }
