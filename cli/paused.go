package cli

import (
	"context"
	"time"

	"github.com/spoolq/spool"
)

// pausedWithin bounds how long queue:size waits for the cache, which it can do
// without.
const pausedWithin = 3 * time.Second

// markPaused notes which queues are paused, and says that the application is
// down: jobs wait there though workers live.
// It is said where the cache doesn't tell; the counts stand without it.
func (e *env) markPaused(ctx context.Context, all []queueSize) {
	if down := e.set.Maintenance(); down != nil && down() {
		e.noteDown()
	}
	if !e.pausable() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pausedWithin)
	defer cancel()
	keys := spool.LaravelKeys()
	names := []string{keys.PausedAll, keys.Maintenance}
	for _, q := range all {
		names = append(names, keys.Paused(q.Connection, q.Queue))
	}
	signals, err := e.signals(ctx)
	var values map[string]string
	if err == nil {
		values, err = signals.Many(ctx, names...)
	}
	if err != nil {
		e.note("%s: warn: whether queues are paused can't be read: %v", e.name(), e.set.Explain(err))
		return
	}
	if _, down := values[keys.Maintenance]; down {
		e.noteDown()
	}
	_, every := values[keys.PausedAll]
	for i := range all {
		_, one := values[names[i+2]]
		all[i].Paused = every || one
	}
}

func (e *env) noteDown() {
	e.note("%s: warn: maintenance mode: workers take no jobs, except with --force; `up` ends it", e.name())
}

// pausable says whether there can be anything that pauses a queue. A SQLite file
// that isn't there has nothing in it, and looking would make it.
func (e *env) pausable() bool {
	cfg := e.set.Config
	store := cfg.Cache.Stores[cfg.Cache.Default]
	if store == nil || store.Driver == "array" || store.Driver == "null" {
		return false
	}
	return store.Driver != "database" || e.set.Absent(store.Connection) == nil
}
