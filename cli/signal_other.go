//go:build !unix

package cli

import "os"

// stopSignals have a worker drain and exit.
var stopSignals = []os.Signal{os.Interrupt}

// There is no signal to pause by: queue:pause does it.
func notifyPause(chan<- os.Signal) {}

func isPause(os.Signal) bool  { return false }
func isResume(os.Signal) bool { return false }
