package worker

import (
	"context"

	"github.com/spoolq/spool/presence"
)

// join is Join for a worker with its options.
func (w *Worker) join(ctx context.Context) (*presence.Presence, error) {
	id := w.o.Identity
	if id.Unlisted {
		return nil, nil //nolint:nilnil // a nil Presence is documented
	}
	return presence.Join(ctx, w.conn, presence.Record{
		Name: w.o.Name, App: id.App, Env: id.Env, Exclusive: id.Exclusive, Queues: w.o.Queues, Concurrency: w.o.Concurrency,
	}, w.o.Logger)
}

// tell brings the worker's record up to date.
func (w *Worker) tell(r *presence.Record) {
	r.Running, r.Processed, r.Failed = w.Running(), w.processed.Load(), w.failed.Load()
	r.State = presence.Running
	select {
	case <-w.ended:
		r.State = presence.Stopping
		return
	default:
	}
	if w.paused.Load() || w.polls.closed() {
		r.State = presence.Paused
	}
}

// closed says whether no queue may be worked now.
func (p *signalPoll) closed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return (p.isDown || p.fileDown) && !p.o.Force || len(p.pausedAt) > 0 && len(p.pausedAt) == len(p.o.Queues)
}
