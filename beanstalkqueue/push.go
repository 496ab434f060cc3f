package beanstalkqueue

import (
	"context"
	"strconv"
	"time"

	"github.com/spoolq/spool/driver"
)

// One request puts at most this many jobs, and no further one after this many
// bytes: its answers come in one go, and those of others wait behind it.
const (
	pushMost  = 1000
	pushBytes = 1 << 20
)

// Push puts the jobs, pipelined. The ids are the server's. If the server
// refuses one (it is draining, or out of memory), those behind it are taken
// back. An error of the connection leaves unknown whether jobs beyond the
// returned ids were stored.
func (c *Conn) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	if len(ms) == 0 {
		return nil, nil
	}
	if err := checkName(queue); err != nil {
		return nil, err
	}
	if err := c.limits(ms); err != nil {
		return nil, err
	}
	s, err := c.session(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(ms))
	for len(ids) < len(ms) {
		rest := ms[len(ids):]
		r := &request{use: queue}
		for r.n < len(rest) && r.n < pushMost && len(r.text) < pushBytes {
			r.text = c.put(r.text, &rest[r.n], len(rest))
			r.n++
		}
		if err := s.do(ctx, r); err != nil {
			return ids, err
		}
		n, err := c.inserted(s, r, rest)
		for _, a := range r.answers[:n] {
			ids = append(ids, strconv.FormatUint(a.id, 10))
		}
		if n > 0 {
			c.woken.send()
		}
		if err != nil {
			return ids, limitOf(err, len(ids), ms)
		}
	}
	return ids, nil
}

// put appends the command that stores m, the first of more to come.
func (c *Conn) put(text []byte, m *driver.Message, more int) []byte {
	if text == nil {
		text = make([]byte, 0, min(more*(len(m.Body)+40), pushBytes+len(m.Body)+64))
	}
	text = append(text, "put "...)
	text = strconv.AppendUint(text, uint64(c.opts.Priority), 10)
	text = append(text, ' ')
	text = appendSeconds(text, m.Delay)
	text = append(text, ' ')
	text = appendSeconds(text, c.traits.Lease)
	text = append(text, ' ')
	text = strconv.AppendInt(text, int64(len(m.Body)), 10)
	text = append(text, "\r\n"...)
	text = append(text, m.Body...)
	return append(text, "\r\n"...)
}

func appendSeconds(text []byte, d time.Duration) []byte {
	return strconv.AppendInt(text, int64(driver.RoundUp(d, time.Second)/time.Second), 10)
}

// inserted returns how many jobs of a request were accepted before the first
// that was refused, and takes back those accepted behind it.
func (c *Conn) inserted(s *session, r *request, ms []driver.Message) (int, error) {
	for i, a := range r.answers {
		if a.word == wordInserted {
			continue
		}
		undo := &request{}
		for _, b := range r.answers[i:] {
			if b.word == wordInserted || b.word == wordBuried {
				undo.text = appendCommand(undo.text, "delete ", b.id)
				undo.n++
			}
		}
		if undo.n > 0 {
			// Not for ctx to end: they would be stored twice when pushed again.
			_ = s.do(context.Background(), undo) // the refusal is the error to tell
		}
		return i, &ServerError{Command: "put of " + strconv.Itoa(len(ms[i].Body)) + " bytes", Word: a.word}
	}
	return len(r.answers), nil
}

// limitOf turns a refusal for size, of message i, into a *driver.LimitError.
func limitOf(err error, i int, ms []driver.Message) error {
	if e, ok := err.(*ServerError); ok && e.Word == wordTooBig { //nolint:errorlint // inserted returns the type bare
		n := int64(len(ms[i].Body))
		return &driver.LimitError{Index: i, What: "body", Have: n, Max: n - 1, Why: e.Error()}
	}
	return err
}

func appendCommand(text []byte, name string, id uint64) []byte {
	return append(strconv.AppendUint(append(text, name...), id, 10), "\r\n"...)
}
