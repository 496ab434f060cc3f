package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

const (
	// selectDepth is how many ready jobs ReserveMatching looks through.
	selectDepth = 100_000
	// selectChunk is how many of them one script call looks at, so that the
	// server isn't held up.
	selectChunk = 1000
)

// ReserveMatching is Reserve of the jobs that s matches among the first 100,000
// that are ready. It looks at a thousand of them in one script call, some
// milliseconds of the server's time, and goes on behind those it has looked at
// before. The layout must have a Select script.
func (c *Conn) ReserveMatching(ctx context.Context, queue string, max int, s *driver.Selection) ([]driver.Reservation, error) {
	if err := c.check(ctx, queue); err != nil {
		return nil, err
	}
	if c.layout.Scripts.Select == "" {
		return nil, fmt.Errorf("redisqueue: layout %s takes no jobs by selection: %w", c.layout.Name, errors.ErrUnsupported)
	}
	if max <= 0 {
		return nil, nil
	}
	max = min(max, reserveMost)
	from := c.looks.last(queue, s)
	remembered := from.job != ""
	for {
		rs, next, more, err := c.choose(ctx, queue, max, s, from)
		if err != nil {
			return nil, err
		}
		if remembered {
			next.since = from.since
		}
		c.looks.note(queue, next)
		switch {
		case len(rs) > 0:
			return rs, nil
		case more && next.job != "" && next.at > from.at:
			from = next
		case remembered: // that there is none is only said of the whole queue
			from, remembered = place{at: -1}, false
		default:
			return nil, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// choose is one call of the script. It returns where the next one may go on,
// and whether there is more to look at.
func (c *Conn) choose(ctx context.Context, queue string, max int, s *driver.Selection, from place) (rs []driver.Reservation, next place, more bool, err error) {
	mark := strconv.Itoa(1 + rand.IntN(marks))
	args := append(c.delivery(max, mark), strconv.Itoa(selectDepth), strconv.Itoa(selectChunk),
		from.job, strconv.FormatInt(from.at, 10), s.End, strconv.Itoa(len(s.Keys)))
	args = append(append(args, s.Keys...), s.Names...)
	// Jobs that the server has moved must be seen: the call isn't cancelled.
	answer, err := c.run(context.WithoutCancel(ctx), c.scripts.choose, c.keys(queue).all(), args).ToArray()
	if err != nil {
		return nil, next, false, err
	}
	if len(answer) < 3 {
		return nil, next, false, fmt.Errorf("redisqueue: the select script answered with %d values", len(answer))
	}
	job, err1 := answer[0].ToString()
	at, err2 := answer[1].ToInt64()
	rest, err3 := answer[2].ToInt64()
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, next, false, err
	}
	rs, err = reservations(queue, answer[3:], mark)
	return rs, place{s: s, job: job, at: at, since: time.Now()}, rest == 1, err
}

// place is a ready job up to which none is wanted. Jobs leave the list anywhere
// and come to its end only, so what stands before the job stays unwanted for as
// long as it is there. One with the same bytes may come again behind others:
// therefore its index, which never grows, and the short time it is believed.
type place struct {
	s     *driver.Selection
	job   string
	at    int64
	since time.Time // when the queue was looked at from its beginning
}

const placeLasts = time.Second

// looks remembers the place in each queue.
type looks struct {
	mu sync.Mutex
	at map[string]place
}

func (l *looks) last(queue string, s *driver.Selection) place {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.at[queue]; p.s == s && time.Since(p.since) < placeLasts {
		return p
	}
	return place{at: -1}
}

func (l *looks) note(queue string, p place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at == nil {
		l.at = map[string]place{}
	}
	l.at[queue] = p
}
