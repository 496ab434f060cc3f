package sqldb

import "sync"

// Topic is what an announcement is about: a table, and the queue in it.
type Topic struct {
	Table string
	Queue string // "" in an announcement: every queue of the table
}

// Signals wakes those in this process who wait for a topic. Each topic has a
// version that grows with every announcement, so that an announcement between
// a look at the table and the wait is not missed. It is safe for concurrent use.
type Signals struct {
	mu       sync.Mutex
	versions map[Topic]uint64
	subs     map[Topic]map[*Subscription]struct{}
}

// NewSignals returns signals that nobody waits for.
func NewSignals() *Signals {
	return &Signals{versions: map[Topic]uint64{}, subs: map[Topic]map[*Subscription]struct{}{}}
}

// Announce wakes everyone who waits for the topic. It doesn't block.
func (s *Signals) Announce(t Topic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Queue != "" {
		s.announce(t)
		return
	}
	for u := range s.versions {
		if u.Table == t.Table {
			s.announce(u)
		}
	}
}

func (s *Signals) announce(t Topic) {
	s.versions[t]++
	for sub := range s.subs[t] {
		select {
		case sub.c <- struct{}{}:
		default: // it has been woken and not looked yet
		}
	}
}

// Version returns how often the topic was announced, plus one.
func (s *Signals) Version(t Topic) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.versions[t]
	if !ok {
		v = 1
		s.versions[t] = v // known from now on, to announcements of the whole table
	}
	return v
}

// Subscription is one waiter's ear for some topics.
type Subscription struct {
	c       chan struct{}
	topics  []Topic
	signals *Signals
}

// Subscribe returns a subscription to the topics; Close it after use.
func (s *Signals) Subscribe(topics ...Topic) *Subscription {
	sub := &Subscription{c: make(chan struct{}, 1), topics: topics, signals: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range topics {
		if s.subs[t] == nil {
			s.subs[t] = map[*Subscription]struct{}{}
		}
		s.subs[t][sub] = struct{}{}
	}
	return sub
}

// C receives a value after an announcement of one of the topics.
func (sub *Subscription) C() <-chan struct{} { return sub.c }

// Close ends the subscription. It is idempotent.
func (sub *Subscription) Close() {
	s := sub.signals
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range sub.topics {
		if delete(s.subs[t], sub); len(s.subs[t]) == 0 {
			delete(s.subs, t)
		}
	}
}
