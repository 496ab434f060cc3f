package worker

import "sync"

// line hands reserved jobs to slots. The slot that became idle last is woken
// first, and one that takes a job wakes the next if there are more: so quick
// jobs are run by a few goroutines with warm stacks, slow ones by all of them.
// It is safe for concurrent use.
type line struct {
	mu     sync.Mutex
	tasks  []*task
	head   int             // index of the next task
	idle   []chan struct{} // one for each waiting slot, with room for its wake-up
	closed bool
}

// add appends jobs and wakes a slot.
func (l *line) add(ts []*task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tasks = append(l.tasks, ts...)
	l.wake()
}

// wake wakes an idle slot. The caller holds the lock.
func (l *line) wake() {
	if last := len(l.idle) - 1; last >= 0 {
		l.idle[last] <- struct{}{}
		l.idle = l.idle[:last]
	}
}

// take waits for a job; nil when the line is closed and empty. own is what the
// slot is woken by, with room for one element.
func (l *line) take(own chan struct{}) *task {
	for {
		if t, over := l.next(own); t != nil || over {
			return t
		}
		<-own
	}
}

// next returns the next job, or says that there will be none, or notes that
// the slot waits.
func (l *line) next(own chan struct{}) (t *task, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head == len(l.tasks) {
		if !l.closed {
			l.idle = append(l.idle, own)
		}
		return nil, l.closed
	}
	t = l.tasks[l.head]
	l.tasks[l.head] = nil
	if l.head++; l.head == len(l.tasks) {
		l.tasks, l.head = l.tasks[:0], 0
	} else {
		l.wake()
	}
	return t, false
}

// close lets the slots end when the line is empty.
func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for len(l.idle) > 0 {
		l.wake()
	}
}
