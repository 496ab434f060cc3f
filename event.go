package spool

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Events delivers events to listeners, synchronously, in the order in which
// they were added. The zero value is ready; a nil *Events has no listeners and
// takes none. Listening is safe at any time; an event that nobody listens to
// costs one atomic load.
//
// A listener runs in the goroutine that raised the event and must be safe for
// concurrent use: jobs run side by side. It must not block for long. One that
// panics is reported and otherwise passed over: it changes nothing about the
// job, and the other listeners are told. What has to succeed for a job to run
// belongs in a [Middleware].
type Events struct {
	// Logger is told of listeners that panic; nil means slog.Default(). Set it
	// before the first event.
	Logger *slog.Logger

	mu        sync.Mutex
	listeners [numKinds]atomic.Pointer[[]func(context.Context, Event)]
}

// Event is one of this package's event types.
type Event interface{ kind() int }

// Listen adds a listener for events of type E, e.g.
//
//	spool.Listen(events, func(ctx context.Context, e spool.JobFailed) { … })
func Listen[E Event](events *Events, fn func(ctx context.Context, e E)) {
	var zero E
	events.mu.Lock()
	defer events.mu.Unlock()
	slot := &events.listeners[zero.kind()]
	var list []func(context.Context, Event)
	if old := slot.Load(); old != nil {
		list = append(list, *old...)
	}
	list = append(list, func(ctx context.Context, e Event) { fn(ctx, e.(E)) })
	slot.Store(&list)
}

// Listening says whether anybody listens to events of type E: ask before
// building one on a hot path.
func Listening[E Event](events *Events) bool {
	var zero E
	return events != nil && events.listeners[zero.kind()].Load() != nil
}

// Emit raises an event. Spool's own packages call it.
func Emit[E Event](ctx context.Context, events *Events, e E) {
	if events == nil {
		return
	}
	if list := events.listeners[e.kind()].Load(); list != nil {
		for _, fn := range *list {
			events.tell(ctx, fn, e)
		}
	}
}

// tell calls one listener.
func (events *Events) tell(ctx context.Context, fn func(context.Context, Event), e Event) {
	defer func() {
		if v := recover(); v != nil {
			log := events.Logger
			if log == nil {
				log = slog.Default()
			}
			log.ErrorContext(ctx, "a listener has panicked", "event", fmt.Sprintf("%T", e), "panic", v, "stack", string(debug.Stack()))
		}
	}()
	fn(ctx, e)
}

const (
	kindQueueing = iota
	kindQueued
	kindPopped
	kindUniqueSkipped
	kindDebounced
	kindProcessing
	kindProcessed
	kindException
	kindReleased
	kindTimedOut
	kindStuck
	kindFailing
	kindFailed
	kindUnhandled
	kindLost
	kindRetryRequested
	kindQueueBusy
	kindFailedOver
	kindWorkerStarting
	kindWorkerLooping
	kindWorkerIdle
	kindWorkerPaused
	kindWorkerResumed
	kindWorkerStopping
	kindBatchDispatched
	kindBatchStarted
	kindBatchFinished
	kindBatchCancelled
	kindScheduleDispatched
	kindScheduleMissed
	kindScheduleFailed
	numKinds
)

// JobQueueing is raised before a job is pushed.
type JobQueueing struct {
	Connection, Queue string
	Name, UUID        string
	Body              []byte
	Delay             time.Duration
}

// JobQueued is raised after a job was accepted by its backend; for one pushed
// inside a transaction, after the commit.
type JobQueued struct {
	Connection, Queue string
	Name, UUID        string
	ID                string // what Push returned
	Body              []byte
	Delay             time.Duration
}

// JobPopped is raised when a worker has reserved a job.
type JobPopped struct{ Job *Job }

// UniqueJobSkipped is raised instead of [JobQueueing] for a job that isn't
// dispatched because another one has its lock (see [Unique]), whose name is Key.
type UniqueJobSkipped struct {
	Connection, Queue string
	Name              string // of the job
	Key               string
}

// JobDebounced is raised for a job that is dropped because another one has taken
// its place (see [Debounce]).
type JobDebounced struct {
	Job *Job
	Key string
}

// JobProcessing is raised before a job runs. A listener that decides its end
// (see [Job.Delete]) keeps its handler from being called.
type JobProcessing struct{ Job *Job }

// JobProcessed is raised after a job ran without an exception and its end was
// stored: Result is "deleted" or "released".
type JobProcessed struct {
	Job     *Job
	Result  string
	Wait    time.Duration // from available (as far as known) to start; negative if unknown
	Runtime time.Duration
}

// JobExceptionOccurred is raised when a handler returned an error or panicked.
type JobExceptionOccurred struct {
	Job     *Job
	Err     error
	Stack   []byte // of a panic
	Runtime time.Duration
}

// JobReleased is raised after a job was put back on its queue. Err is the
// exception that led to it, why it was turned away, or what ended its context
// when a stopping worker hands it back; nil for a release by the handler.
type JobReleased struct {
	Job   *Job
	Delay time.Duration
	Err   error
	// Returned says that this delivery is no attempt: it was turned away (see
	// [GiveBack]), or its worker stops.
	Returned bool
}

// JobTimedOut is raised when a job's timeout has ended its context and its
// handler has returned, or is given up (see [JobStuck]).
type JobTimedOut struct {
	Job     *Job
	Timeout time.Duration
}

// JobStuck is raised when a handler hasn't returned in the grace after its
// context ended.
type JobStuck struct {
	Job     *Job
	Runtime time.Duration
}

// JobFailing is raised when a job is about to fail. A listener may keep it. It
// isn't raised for a job whose handler is stuck: that can't be put back.
type JobFailing struct {
	Job   *Job
	Err   error
	delay *time.Duration
}

// NewJobFailing returns the event for a job; workers raise it.
func NewJobFailing(job *Job, err error) *JobFailing { return &JobFailing{Job: job, Err: err} }

// Keep has the job released after d instead of failed: it isn't recorded and
// its failed callback isn't called. A worker honours it a limited number of
// times for one job.
func (e *JobFailing) Keep(d time.Duration) { e.delay = new(max(d, 0)) }

// Kept returns the delay of Keep, and whether it was called.
func (e *JobFailing) Kept() (time.Duration, bool) {
	if e.delay == nil {
		return 0, false
	}
	return *e.delay, true
}

// JobFailed is raised after a job has failed for good and was recorded.
type JobFailed struct {
	Job     *Job
	Err     error
	Runtime time.Duration
}

// JobUnhandled is raised when a job was put back because this worker has no
// handler for its name, or can't read it. A worker logs it where nobody listens.
type JobUnhandled struct {
	Job   *Job
	Delay time.Duration
	Err   error // why
}

// JobLost is raised when a job's lease was lost: its context was cancelled and
// nothing was written.
type JobLost struct {
	Job     *Job
	Runtime time.Duration
}

// JobRetryRequested is raised before a failed job is pushed again.
type JobRetryRequested struct {
	UUID, Connection, Queue string
	Body                    []byte
}

// QueueBusy is raised by queue:monitor for a queue at or over its threshold.
type QueueBusy struct {
	Connection, Queue string
	Size              int64
}

// QueueFailedOver is raised when a dispatch goes past a connection of a failover
// that is down, with the first job concerned; not again until that connection
// has accepted a job.
type QueueFailedOver struct {
	Failover   string // the connection that the job was dispatched to
	Connection string // the one behind it that failed
	Queue      string // empty: each connection's default queue
	Name, UUID string
	Err        error
}

// WorkerStarting is raised when a worker starts.
type WorkerStarting struct {
	Name, Connection string
	Queues           []string
}

// WorkerLooping is raised before each round of a worker that looks for jobs.
// A listener may veto the round.
type WorkerLooping struct {
	Name, Connection string
	Queues           []string
	vetoed           bool
}

// Veto skips this round: the worker sleeps instead of reserving.
func (e *WorkerLooping) Veto() { e.vetoed = true }

// Vetoed says whether a listener has called Veto.
func (e *WorkerLooping) Vetoed() bool { return e.vetoed }

// WorkerIdle is raised when a worker found no job and nothing is running.
type WorkerIdle struct{ Name, Connection string }

// WorkerPaused is raised when a worker stops reserving: by signal, or because
// maintenance mode has begun (Down is true), or because a queue was paused
// (Queue is its name).
type WorkerPaused struct {
	Name, Connection, Queue string
	Down                    bool
}

// WorkerResumed ends a [WorkerPaused] with the same fields.
type WorkerResumed struct {
	Name, Connection, Queue string
	Down                    bool
}

// WorkerStopping is raised when a worker stops.
type WorkerStopping struct {
	Name, Connection string
	Reason           string // see worker.Reason
	Status           int    // exit code
	Processed        int64
}

// ScheduleDispatched is raised after the job of an entry of a schedule (package
// schedule) was dispatched.
type ScheduleDispatched struct {
	Name   string    // of the entry
	Tick   time.Time // when it was due
	ByHand bool      // it was told to run now; Tick is the moment of that
	Ref    Ref
}

// ScheduleMissed is raised for ticks of an entry that were due and are not made
// up for, because nothing ran the schedule then.
type ScheduleMissed struct {
	Name        string
	First, Last time.Time // of those counted
	Count       int       // at most 1000
}

// ScheduleFailed is raised when the job of a tick couldn't be dispatched. It is
// tried again until the tick is too late to be run.
type ScheduleFailed struct {
	Name string
	Tick time.Time
	Err  error
}

func (JobQueueing) kind() int          { return kindQueueing }
func (JobQueued) kind() int            { return kindQueued }
func (JobPopped) kind() int            { return kindPopped }
func (UniqueJobSkipped) kind() int     { return kindUniqueSkipped }
func (JobDebounced) kind() int         { return kindDebounced }
func (JobProcessing) kind() int        { return kindProcessing }
func (JobProcessed) kind() int         { return kindProcessed }
func (JobExceptionOccurred) kind() int { return kindException }
func (JobReleased) kind() int          { return kindReleased }
func (JobTimedOut) kind() int          { return kindTimedOut }
func (JobStuck) kind() int             { return kindStuck }
func (*JobFailing) kind() int          { return kindFailing }
func (JobFailed) kind() int            { return kindFailed }
func (JobUnhandled) kind() int         { return kindUnhandled }
func (JobLost) kind() int              { return kindLost }
func (JobRetryRequested) kind() int    { return kindRetryRequested }
func (QueueBusy) kind() int            { return kindQueueBusy }
func (QueueFailedOver) kind() int      { return kindFailedOver }
func (WorkerStarting) kind() int       { return kindWorkerStarting }
func (*WorkerLooping) kind() int       { return kindWorkerLooping }
func (WorkerIdle) kind() int           { return kindWorkerIdle }
func (WorkerPaused) kind() int         { return kindWorkerPaused }
func (WorkerResumed) kind() int        { return kindWorkerResumed }
func (WorkerStopping) kind() int       { return kindWorkerStopping }
func (ScheduleDispatched) kind() int   { return kindScheduleDispatched }
func (ScheduleMissed) kind() int       { return kindScheduleMissed }
func (ScheduleFailed) kind() int       { return kindScheduleFailed }
