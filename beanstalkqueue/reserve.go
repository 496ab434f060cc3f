package beanstalkqueue

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spoolq/spool/driver"
)

const (
	// reserveMost is how many jobs one Reserve takes at most.
	reserveMost = 1000
	// reserveBytes ends a Reserve early: no more jobs are asked for once the
	// payloads are larger together.
	reserveBytes = 16 << 20
	// reservePart is how many jobs one request asks for. A request waits for all
	// its answers before the attempts are asked for, so a large one is cut.
	reservePart = 50
	// guessMost bounds the queues whose last Reserve is remembered.
	guessMost = 1000
)

// Reserve takes up to max jobs of the tube, by priority, then by age. It may
// return fewer although there are more: at most 1000, and after 16 MB of
// payload. Attempts is the server's count of reservations, as in Laravel.
func (c *Conn) Reserve(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	if max <= 0 {
		return nil, nil
	}
	if err := checkName(queue); err != nil {
		return nil, err
	}
	max = min(max, reserveMost)
	rs := c.fetch(queue, max)
	if len(rs) == max {
		return rs, nil
	}
	s, err := c.session(ctx)
	for err == nil && len(rs) < max {
		// Every reserve has a price, of an empty tube too: the first go asks
		// for about as many as there were lately.
		want := min(max-len(rs), 2*len(rs)+1+c.guessed(queue))
		var got []driver.Reservation
		got, err = s.reserve(queue, want)
		rs = append(rs, got...)
		if len(got) < want || bytesOf(rs) > reserveBytes {
			break
		}
	}
	c.learn(queue, len(rs))
	if len(rs) > 0 {
		return rs, nil // an error will be there next time too
	}
	return nil, err
}

func (c *Conn) guessed(queue string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.guess[queue]
}

func (c *Conn) learn(queue string, got int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.guess) >= guessMost {
		clear(c.guess)
	}
	if got == 0 {
		delete(c.guess, queue)
	} else {
		c.guess[queue] = got
	}
}

func bytesOf(rs []driver.Reservation) int {
	n := 0
	for i := range rs {
		n += len(rs[i].Body)
	}
	return n
}

const reserveNow = "reserve-with-timeout 0\r\n"

// part is a request for some jobs and the one for their attempts.
type part struct {
	r        *request
	stats    *request
	receipts []*receipt
	bodies   [][]byte
}

// reserve takes up to n ready jobs. It never gives up on answers: the server
// has moved the jobs, so they must be seen.
func (s *session) reserve(queue string, n int) ([]driver.Reservation, error) {
	parts := make([]part, (n+reservePart-1)/reservePart)
	watch := []string{queue}
	for i := range parts {
		p := &parts[i]
		m := min(n-i*reservePart, reservePart)
		p.r = &request{watch: watch, n: m, text: []byte(strings.Repeat(reserveNow, m))}
		p.r.finish = func(s *session, r *request) { p.receipts, p.bodies = s.register(r, queue) }
		if err := s.send(p.r); err != nil {
			return nil, err
		}
	}
	for i := range parts {
		p := &parts[i]
		if err := p.r.wait(context.Background()); err != nil {
			return nil, err
		}
		if len(p.receipts) == 0 {
			continue
		}
		p.stats = statsOf(p.receipts)
		if err := s.send(p.stats); err != nil {
			return nil, err
		}
	}
	rs := make([]driver.Reservation, 0, n)
	var refused error
	for i := range parts {
		p := &parts[i]
		if p.stats != nil {
			if err := p.stats.wait(context.Background()); err != nil {
				return nil, err
			}
			rs = s.known(rs, p, p.r.sent)
		}
		for _, a := range p.r.answers {
			switch a.word {
			case wordReserved, wordTimedOut, wordDeadline: // a held job is near the end of its lease, and none is ready
			default:
				refused = &ServerError{Command: "reserve", Word: a.word}
			}
		}
	}
	if len(rs) > 0 {
		return rs, nil
	}
	return nil, refused
}

// statsOf asks for the attempts of jobs.
func statsOf(receipts []*receipt) *request {
	r := &request{n: len(receipts), text: make([]byte, 0, 24*len(receipts))}
	for _, rc := range receipts {
		r.text = appendCommand(r.text, "stats-job ", rc.id)
	}
	return r
}

// known makes reservations of the jobs of p, now that their statistics are
// there. Their leases began at since or later; if since is zero, that is to be
// read from the statistics.
func (s *session) known(rs []driver.Reservation, p *part, since time.Time) []driver.Reservation {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, rc := range p.receipts {
		stats := p.stats.answers[i].body
		if p.stats.answers[i].word != wordOK {
			s.forget(rc) // its lease has ended already
			continue
		}
		rc.pri = uint32(min(count(stats, "pri"), maxSeconds))
		rc.ttr = time.Duration(count(stats, "ttr")) * time.Second
		rc.until = since.Add(rc.ttr)
		if since.IsZero() {
			rc.until = p.stats.sent.Add(time.Duration(count(stats, "time-left")) * time.Second)
		}
		if rc.queue == "" {
			rc.queue = string(field(stats, "tube"))
		}
		rs = append(rs, driver.Reservation{
			ID:       strconv.FormatUint(rc.id, 10),
			Queue:    rc.queue,
			Body:     p.bodies[i],
			Attempts: int(max(count(stats, "reserves"), 1)),
			Receipt:  rc,
		})
	}
	return rs
}
