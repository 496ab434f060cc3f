// Package batch keeps batches: in Laravel's table job_batches, where PHP and Go
// count the same batch's members ([SQL]), or in memory ([Memory]). Package
// redisbatch keeps them in Redis.
//
// Laravel's table has only counters. Which members have ended, and which
// callbacks were pushed, stands in two tables of Spool's own beside it, so that
// nothing is counted twice and no callback is lost when a process dies. Without
// them, Spool counts as Laravel does.
//
// The package imports package spool, sqldb and the codec of PHP's serialize,
// never a database SDK.
package batch

import (
	"slices"
	"time"

	"github.com/spoolq/spool"
)

// claimTime is how long a claimed callback is nobody else's.
const claimTime = time.Minute

// mark is how a member has ended.
type mark int

const (
	unended mark = iota
	failed
	done
)

// tally applies ends to the numbers of a batch. It does no I/O.
type tally struct {
	spool.BatchCounts
	allow   bool // failures
	failing map[string]bool
	order   []string // of failing; may hold more
	marks   map[string]mark
	changed []string // members whose mark is new, in order; one may be there twice
}

// end applies one end.
func (t *tally) end(uuid string, hasFailed bool) {
	was := t.marks[uuid]
	if was == unended && t.failing[uuid] { // PHP has counted it, or an earlier run without marks
		was = failed
	}
	switch {
	case was == done, was == failed && hasFailed:
		return
	case hasFailed:
		t.Failed++
		t.Failing++
		t.failing[uuid] = true
		t.order = append(t.order, uuid)
		if !t.allow {
			t.Cancelled, t.Finished = true, true
		}
		t.set(uuid, failed)
	default:
		if was == failed {
			t.Failing--
			delete(t.failing, uuid)
		}
		if t.Pending > 0 {
			t.Pending--
		}
		if t.Pending == 0 {
			t.Finished = true
		}
		t.set(uuid, done)
	}
}

func (t *tally) set(uuid string, m mark) {
	t.changed = append(t.changed, uuid)
	t.marks[uuid] = m
}

// ids returns who is failing, in order.
func (t *tally) ids() []string {
	ids := make([]string, 0, len(t.failing))
	for _, id := range t.order {
		if t.failing[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// grow adds n members to a batch.
func grow(c spool.BatchCounts, n int) spool.BatchCounts {
	c.Total, c.Pending = c.Total+n, max(c.Pending+n, 0)
	switch {
	case n > 0:
		c.Finished = false
	case c.Pending == 0:
		c.Finished = true
	}
	return c
}

// byBatch sorts ends by their batches, which are returned in a fixed order, so
// that two processes lock them in the same one.
func byBatch(ends []spool.BatchEnd) (ids []string, of map[string][]spool.BatchEnd) {
	of = make(map[string][]spool.BatchEnd, 1)
	for _, e := range ends {
		if of[e.Batch] == nil {
			ids = append(ids, e.Batch)
		}
		of[e.Batch] = append(of[e.Batch], e)
	}
	slices.Sort(ids)
	return ids, of
}
