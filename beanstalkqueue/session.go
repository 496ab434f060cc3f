package beanstalkqueue

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// A session is one TCP connection. Requests of many goroutines are written
// together and answered in order; nobody waits for the answers of another
// before writing. The server ends all reservations of a session with it.
type session struct {
	conn    net.Conn
	timeout time.Duration // for an answer, over what the command may block
	lost    *signal       // sent when jobs are lost with the connection

	mu      sync.Mutex
	err     error      // why it is dead
	out     []byte     // to be written
	spare   []byte     // the buffer written before
	writing bool       // somebody is at it, and takes out along
	waiting []*request // in order, without the one being answered
	open    int        // requests that have not got all their answers
	used    string     // the tube of put and peek
	watched []string   // the tubes of reserve
	held    map[uint64]*receipt
	sent    time.Time   // when the last request was
	pulse   *time.Timer // runs while jobs are held
}

// A request is some commands and their answers.
type request struct {
	use   string   // the tube that the commands put to or peek into; "" if any
	watch []string // the tubes that they reserve from, and no others; nil if any
	text  []byte   // the commands
	n     int      // how many answers they get
	block time.Duration
	// finish sees the answers first, in the order of the wire and with the
	// session locked. It is called once, unless there is an err.
	finish func(s *session, r *request)

	answers []answer // valid once done is closed
	err     error    // of the connection: what was done is unknown
	done    chan struct{}
	sent    time.Time
	prelude int // answers to changes of tubes, which come first
}

var (
	errAbandoned = errors.New("the connection was closed while it waited for jobs")
	errSilent    = errors.New("the server doesn't answer")
)

// newSession starts reading from a new connection; running ends when it is
// gone.
func newSession(conn net.Conn, timeout time.Duration, lost *signal, running *sync.WaitGroup) *session {
	s := &session{
		conn: conn, timeout: timeout, lost: lost,
		used: "default", watched: []string{"default"}, held: map[uint64]*receipt{},
	}
	running.Go(s.read)
	return s
}

// do sends a request and waits for its answers, or until ctx is done: then the
// commands are carried out all the same.
func (s *session) do(ctx context.Context, r *request) error {
	if err := s.send(r); err != nil {
		return err
	}
	return r.wait(ctx)
}

func (r *request) wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send queues a request behind the others and sees to it that it is written.
func (s *session) send(r *request) error {
	if r.done == nil {
		r.done = make(chan struct{})
	}
	r.sent = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		r.err = s.err
		close(r.done)
		return r.err
	}
	s.sent = r.sent
	s.tubes(r)
	s.out = append(s.out, r.text...)
	r.answers = make([]answer, 0, r.prelude+r.n)
	s.waiting = append(s.waiting, r)
	if s.open++; s.open == 1 {
		s.expect(r)
	}
	if !s.writing {
		s.write()
	}
	return nil
}

// tubes puts the commands before a request that change to its tubes.
func (s *session) tubes(r *request) {
	command := func(name, tube string) {
		s.out = append(append(append(append(s.out, name...), ' '), tube...), "\r\n"...)
		r.prelude++
	}
	if r.use != "" && r.use != s.used {
		command("use", r.use)
		s.used = r.use
	}
	if r.watch == nil || slices.Equal(r.watch, s.watched) {
		return
	}
	for _, t := range r.watch {
		if !slices.Contains(s.watched, t) {
			command("watch", t)
		}
	}
	for _, t := range s.watched {
		if !slices.Contains(r.watch, t) {
			command("ignore", t)
		}
	}
	s.watched = r.watch
}

// write writes until nothing is left to be written, with what others add
// meanwhile. The caller holds the lock, which is given up for the writing.
func (s *session) write() {
	s.writing = true
	for len(s.out) > 0 && s.err == nil {
		text := s.out
		s.out = s.spare[:0]
		s.mu.Unlock()
		err := s.conn.SetWriteDeadline(time.Now().Add(s.timeout))
		if err == nil {
			_, err = s.conn.Write(text)
		}
		s.mu.Lock()
		if s.spare = text; cap(text) > 1<<20 {
			s.spare = nil
		}
		if err != nil {
			s.end(err)
		}
	}
	s.writing = false
}

// expect sets the deadline for the answers of the request that is next; nil if
// none is. The caller holds the lock.
func (s *session) expect(r *request) {
	deadline := time.Time{}
	if r != nil {
		deadline = time.Now().Add(r.block + s.timeout)
	}
	if err := s.conn.SetReadDeadline(deadline); err != nil {
		s.end(err)
	}
}

// end makes the session dead. What is under way is answered by the reader,
// which notices. The caller holds the lock.
func (s *session) end(err error) {
	if s.err == nil {
		s.err = err
		_ = s.conn.Close() // it is of no more use
	}
}

// close is end for those who don't hold the lock.
func (s *session) close(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(err)
}

func (s *session) alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil
}

// read takes the answers until the connection ends, and then tells those who
// wait for more.
func (s *session) read() {
	r := bufio.NewReaderSize(s.conn, 64<<10)
	var head *request
	for {
		a, err := readAnswer(r)
		if err == nil {
			head, err = s.deliver(head, a)
		}
		if err != nil {
			s.dead(head, err)
			return
		}
	}
}

// deliver gives an answer to the request whose turn it is, and returns it
// unless it was its last.
func (s *session) deliver(head *request, a answer) (*request, error) {
	if head == nil {
		s.mu.Lock()
		if len(s.waiting) == 0 {
			s.mu.Unlock()
			return nil, fmt.Errorf("the server says %s though nothing was asked", a.word)
		}
		head = s.waiting[0]
		s.waiting[0] = nil
		s.waiting = s.waiting[1:]
		s.mu.Unlock()
	}
	if head.prelude > 0 {
		head.prelude--
		if a.word != wordUsing && a.word != wordWatching {
			// What follows was done to the wrong tubes.
			return head, &ServerError{Command: "use or watch", Word: a.word}
		}
	} else {
		head.answers = append(head.answers, a)
	}
	if head.prelude > 0 || len(head.answers) < head.n {
		return head, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if head.finish != nil {
		head.finish(s, head)
	}
	s.open--
	var next *request
	if len(s.waiting) > 0 {
		next = s.waiting[0]
	}
	s.expect(next)
	close(head.done)
	return nil, nil
}

// dead ends the session and all its requests.
func (s *session) dead(head *request, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		err = fmt.Errorf("%w within %v: %w", errSilent, s.timeout, err)
	}
	s.end(err)
	if head != nil {
		s.waiting = slices.Insert(s.waiting, 0, head)
	}
	for _, r := range s.waiting {
		r.err = s.err
		close(r.done)
	}
	s.waiting = nil
	if len(s.held) > 0 {
		clear(s.held)
		s.lost.send()
	}
	if s.pulse != nil {
		s.pulse.Stop()
	}
}
