package memqueue

import "time"

// job is one stored job. It is in exactly one of its queue's three places.
type job struct {
	id       string
	body     []byte
	attempts int
	created  time.Time
	at       time.Time // ready: since when; delayed: due; reserved: end of the lease
	seq      uint64    // order of placing
	held     *delivery // the reservation that holds it, if any

	prev, next *job // in a list
}

// queue is the jobs of one name and those who wait for them.
type queue struct {
	ready    list // in the order they became ready
	delayed  heap // by due time, then by order of placing
	reserved list // by end of lease: one length for all, so in order of renewal
	waiters  map[*waiter]struct{}
}

// promote makes delayed jobs that are due ready, in order of their due times.
// Every verb does so first, so that a queue's order never depends on who looked.
func (q *queue) promote(now time.Time) {
	for len(q.delayed) > 0 && !q.delayed[0].at.After(now) {
		q.ready.push(q.delayed.pop())
	}
}

// expired reports whether the oldest lease has run out.
func (q *queue) expired(now time.Time) bool {
	j := q.reserved.head
	return j != nil && !j.at.After(now)
}

// wake makes the waiters look again.
func (q *queue) wake() {
	for w := range q.waiters {
		select {
		case w.again <- struct{}{}:
		default:
		}
	}
}

// list is a doubly linked list of jobs, linked through the jobs themselves.
type list struct {
	head, tail *job
	len        int
}

func (l *list) push(j *job) {
	j.prev, j.next = l.tail, nil
	if l.tail == nil {
		l.head = j
	} else {
		l.tail.next = j
	}
	l.tail = j
	l.len++
}

func (l *list) pop() *job {
	j := l.head
	l.remove(j)
	return j
}

func (l *list) remove(j *job) {
	if j.prev == nil {
		l.head = j.next
	} else {
		j.prev.next = j.next
	}
	if j.next == nil {
		l.tail = j.prev
	} else {
		j.next.prev = j.prev
	}
	j.prev, j.next = nil, nil
	l.len--
}

// heap is a binary heap of delayed jobs. (container/heap would call through an
// interface for every comparison.)
type heap []*job

func (h heap) less(i, k int) bool { return dueBefore(h[i], h[k]) }

func dueBefore(a, b *job) bool {
	if c := a.at.Compare(b.at); c != 0 {
		return c < 0
	}
	return a.seq < b.seq
}

func (h *heap) push(j *job) {
	s := append(*h, j)
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if !s.less(i, parent) {
			break
		}
		s[i], s[parent] = s[parent], s[i]
		i = parent
	}
	*h = s
}

func (h *heap) pop() *job {
	s := *h
	top, last := s[0], len(s)-1
	s[0], s[last] = s[last], nil
	s = s[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s); child++ {
			if s.less(child, least) {
				least = child
			}
		}
		if least == i {
			break
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
	*h = s
	return top
}
