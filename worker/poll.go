package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/spoolq/spool"
)

// signalPoll watches the cache for restart, pause and maintenance: one read
// for all keys, at most once a second, in the background, so that the loop
// never waits for the cache.
type signalPoll struct {
	o      *Options
	conn   string
	keys   []string // restart, maintenance, all paused, then one per queue
	paused []string // queue names that were paused at the last look

	mu       sync.Mutex
	first    string // the restart value at the first look that could read it
	looked   bool   // there was one
	restart  bool
	isDown   bool // as the cache says
	fileDown bool // as Options.Maintenance says
	pausedAt map[string]bool
	failing  bool
}

const pollEvery = time.Second

func newSignalPoll(o *Options, conn string) *signalPoll {
	p := &signalPoll{o: o, conn: conn, keys: []string{o.Keys.Restart, o.Keys.Maintenance, o.Keys.PausedAll}}
	for _, q := range o.Queues {
		p.keys = append(p.keys, o.Keys.Paused(conn, q))
	}
	return p
}

// watch goes on looking until ctx ends.
func (p *signalPoll) watch(ctx context.Context) {
	if p.o.Signals == nil && p.o.Maintenance == nil {
		return
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.look(ctx)
		}
	}
}

// look reads all keys. The first look comes before the first round, so that
// pause and maintenance hold from the start. A cache that can't be read changes
// nothing, and is reported once.
func (p *signalPoll) look(ctx context.Context) {
	if p.o.Maintenance != nil {
		down := p.o.Maintenance()
		p.mu.Lock()
		p.fileDown = down
		p.mu.Unlock()
	}
	var values map[string]string
	var err error
	if p.o.Signals != nil {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if values, err = p.o.Signals.Many(limited, p.keys...); err != nil {
			if ctx.Err() == nil {
				p.report(err)
			}
			return
		}
	}
	_, down := values[p.o.Keys.Maintenance]
	_, all := values[p.o.Keys.PausedAll]
	paused := make(map[string]bool)
	for i, q := range p.o.Queues {
		if _, ok := values[p.keys[3+i]]; ok || all {
			paused[q] = true
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failing = false
	if !p.looked {
		p.first, p.looked = values[p.o.Keys.Restart], true
	}
	p.restart = values[p.o.Keys.Restart] != p.first
	p.isDown, p.pausedAt = down, paused
}

func (p *signalPoll) report(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.failing {
		p.o.Logger.Warn("restart and pause signals cannot be read", "error", err)
	}
	p.failing = true
}

func (p *signalPoll) restarted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.restart
}

func (p *signalPoll) down() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isDown || p.fileDown
}

// open returns the queues that aren't paused, and raises an event for each
// that changed. Only the loop calls it.
func (p *signalPoll) open(ctx context.Context, events *spool.Events) []string {
	p.mu.Lock()
	paused := p.pausedAt
	p.mu.Unlock()
	if len(paused) == 0 && len(p.paused) == 0 {
		return p.o.Queues
	}
	var open, closed []string
	for _, q := range p.o.Queues {
		was := slices.Contains(p.paused, q)
		if paused[q] {
			closed = append(closed, q)
			if !was {
				spool.Emit(ctx, events, spool.WorkerPaused{Name: p.o.Name, Connection: p.conn, Queue: q})
			}
			continue
		}
		open = append(open, q)
		if was {
			spool.Emit(ctx, events, spool.WorkerResumed{Name: p.o.Name, Connection: p.conn, Queue: q})
		}
	}
	p.paused = closed
	return open
}

// bounces counts how often something was met, by key. It forgets everything
// when it holds too many keys: a count that starts again does no harm.
type bounces struct {
	mu sync.Mutex
	n  map[string]int
}

const maxBounces = 10_000

func (b *bounces) add(key string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n == nil || len(b.n) >= maxBounces {
		b.n = make(map[string]int)
	}
	b.n[key]++
	return b.n[key]
}

// met returns how often key was met.
func (b *bounces) met(key string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n[key]
}

func (b *bounces) forget(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.n, key)
}
