package worker

import "time"

// Reason says why a worker stopped; the words are Laravel's where it has one.
type Reason string

// The reasons.
const (
	Interrupted   Reason = "interrupted"    // signal, or the context ended
	MemoryReached Reason = "memory"         // Options.Memory
	Restarting    Reason = "restart_signal" // queue:restart
	Empty         Reason = "empty"          // Options.StopWhenEmpty
	EmptyFor      Reason = "empty_for"      // Options.StopWhenEmptyFor
	MaxTime       Reason = "max_time"       // Options.MaxTime
	MaxJobs       Reason = "max_jobs"       // Options.MaxJobs
	OnceDone      Reason = "once"           // Options.Once
	StuckHandlers Reason = "stuck"          // handlers that never return
	Broken        Reason = "broken"         // the backend failed and waiting wasn't asked for
	Refused       Reason = "refused"        // of who else works the queues, see package presence
)

// Exit codes of a worker, Laravel's where it has one.
const (
	ExitOK     = 0
	ExitError  = 1  // stuck handlers, or a backend that failed
	ExitMemory = 12 // the memory limit was reached
)

// state is all that stop looks at.
type state struct {
	interrupted bool
	memory      uint64 // bytes held by the process
	restart     bool   // the restart signal has changed since the start
	stuck       bool   // a stuck handler demands a new process
	broken      bool   // reserving failed under Once or StopWhenEmpty
	looked      bool   // the last look at the queues is over …
	found       bool   // … and found a job
	running     int    // jobs in hand
	idle        time.Duration
	up          time.Duration
	started     int // jobs started
}

// stop says whether the worker should stop reserving, why, and with which
// exit code. The first match wins, in Laravel's order.
func stop(o *Options, s state) (Reason, int, bool) {
	switch {
	case s.interrupted:
		return Interrupted, ExitOK, true
	case s.stuck:
		return StuckHandlers, ExitError, true
	case s.broken:
		return Broken, ExitError, true
	case o.Memory > 0 && s.memory >= o.Memory:
		return MemoryReached, ExitMemory, true
	case s.restart:
		return Restarting, ExitOK, true
	case o.Once && s.looked && (s.started > 0 || !s.found):
		return OnceDone, ExitOK, true
	case o.StopWhenEmpty && s.looked && !s.found && s.running == 0:
		return Empty, ExitOK, true
	case o.StopWhenEmptyFor > 0 && s.running == 0 && s.idle >= o.StopWhenEmptyFor:
		return EmptyFor, ExitOK, true
	case o.MaxTime > 0 && s.up >= o.MaxTime:
		return MaxTime, ExitOK, true
	case o.MaxJobs > 0 && s.started >= o.MaxJobs:
		return MaxJobs, ExitOK, true
	}
	return "", ExitOK, false
}
