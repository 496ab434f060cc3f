package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// maxGroup bounds how many callers share a commit, and with it how long the
// write lock is held.
const maxGroup = 256

// gap is how long the lock is left alone after a commit while another process
// wants it: a little longer than its first pauses.
const gap = 200 * time.Microsecond

// Writer is the one writer that a process has for a SQLite file. Callers line
// up; the first of them leads: it takes the write lock, runs what has gathered
// meanwhile, each function behind a savepoint, commits once for all, and hands
// the lead to the next in line. So a lone caller pays no hand-over, and many
// callers share one flush to disk. It is safe for concurrent use.
type Writer struct {
	pool *sql.DB
	opts WriterOptions

	mu      sync.Mutex
	idle    sync.Cond // leading became false
	line    []*request
	leading bool
	closed  bool

	// Of the leader alone.
	conn      *sql.Conn
	stmts     map[string]*sql.Stmt
	contended time.Time // when another process last kept us waiting

	current atomic.Pointer[sql.Tx] // read by On
}

// WriterOptions are the facts a Writer needs about the file.
type WriterOptions struct {
	// File names the database in messages.
	File string
	// Wait is how long another program may hold the write lock before callers
	// get a *BusyError. Default: 30 s.
	Wait time.Duration
	// Busy says that an error means that another connection holds the lock.
	Busy func(error) bool
}

// request is one caller in the line.
type request struct {
	ctx   context.Context
	fn    func(ctx context.Context, tx *sql.Tx) error
	since time.Time
	wake  chan bool // true: lead now; false: done
	leads bool      // it leads or is to lead; guarded by Writer.mu

	err     error
	paniced any
}

// NewWriter returns the writer that uses pool, which must begin transactions
// with BEGIN IMMEDIATE and not wait for locks itself.
func NewWriter(pool *sql.DB, opts WriterOptions) *Writer {
	if opts.Wait <= 0 {
		opts.Wait = 30 * time.Second
	}
	w := &Writer{pool: pool, opts: opts, stmts: map[string]*sql.Stmt{}}
	w.idle.L = &w.mu
	return w
}

// Close waits for the writes in line and closes the pool.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed = true
	for w.leading {
		w.idle.Wait()
	}
	w.mu.Unlock()
	w.drop()
	return w.pool.Close()
}

// do runs fn in a transaction; see DB.Write.
func (w *Writer) do(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{ctx: ctx, fn: fn, since: time.Now(), wake: make(chan bool, 1)}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return ErrClosed
	}
	w.line = append(w.line, r)
	lead := !w.leading
	r.leads, w.leading = lead, true
	w.mu.Unlock()

	if !lead {
		select {
		case lead = <-r.wake:
		case <-ctx.Done():
			if w.withdraw(r) {
				return ctx.Err()
			}
			lead = <-r.wake // it runs already, or we are to lead
		}
	}
	if lead {
		w.lead(r)
	}
	if r.paniced != nil {
		panic(r.paniced)
	}
	return r.err
}

// withdraw takes a waiting request out of the line, unless it is being run or
// is to lead.
func (w *Writer) withdraw(r *request) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, q := range w.line {
		if q == r && !r.leads {
			w.line = append(w.line[:i], w.line[i+1:]...)
			return true
		}
	}
	return false
}

// lead commits one group, which holds at least the leader's own request, and
// hands over.
func (w *Writer) lead(own *request) {
	var group []*request
	tx, err := w.begin(own)
	if err != nil {
		group = w.take(1)
		own.err = err
	} else {
		group = w.take(maxGroup)
		w.commit(tx, group)
	}

	w.mu.Lock()
	if len(w.line) > 0 {
		w.line[0].leads = true
		w.line[0].wake <- true
	} else {
		w.leading = false
		w.idle.Broadcast()
	}
	w.mu.Unlock()
	for _, r := range group {
		if r != own {
			r.wake <- false
		}
	}
}

func (w *Writer) take(n int) []*request {
	w.mu.Lock()
	defer w.mu.Unlock()
	n = min(n, len(w.line))
	group := w.line[:n:n]
	w.line = w.line[n:]
	if len(w.line) == 0 {
		w.line = nil
	}
	return group
}

// commit runs the group in tx. When the transaction as a whole breaks, each
// request is run again on its own, so that one that can't succeed (a row that
// is too much for a full disk) doesn't fail its mates.
func (w *Writer) commit(tx *sql.Tx, group []*request) {
	err := w.run(tx, group)
	if err == nil {
		return
	}
	if len(group) == 1 {
		group[0].err = err
		return
	}
	for _, r := range group {
		r.err, r.paniced = nil, nil
		tx, err := w.begin(r)
		if err == nil {
			err = w.run(tx, []*request{r})
		}
		if err != nil {
			r.err = err
		}
	}
}

// run runs the functions of a group and commits. The outcome of each is in its
// request; an error is one of the transaction as a whole, which had no effect.
func (w *Writer) run(tx *sql.Tx, group []*request) error {
	w.current.Store(tx)
	defer w.current.Store(nil)
	ctx := context.Background()
	done := 0
	for _, r := range group {
		if r.err = r.ctx.Err(); r.err != nil {
			continue
		}
		if len(group) == 1 {
			if r.call(tx); r.err == nil && r.paniced == nil {
				done++
			}
			continue
		}
		if _, err := (kept{w}).ExecContext(ctx, "SAVEPOINT spool_item"); err != nil {
			_ = tx.Rollback()
			return err
		}
		r.call(tx)
		if r.err != nil || r.paniced != nil {
			if _, err := (kept{w}).ExecContext(ctx, "ROLLBACK TO spool_item"); err != nil {
				_ = tx.Rollback() // a full disk, say: SQLite undid it all
				return err
			}
		} else {
			done++
		}
		if _, err := (kept{w}).ExecContext(ctx, "RELEASE spool_item"); err != nil {
			_ = tx.Rollback()
			return err
		}
	}
	if done == 0 {
		_ = tx.Rollback() // nothing to keep; SQLite may have rolled back by itself
		return nil
	}
	return w.finish(tx)
}

// finish commits. With a rollback journal a commit has to wait for readers of
// other connections; Tx.Commit would roll back instead, so the statement is
// run by hand and the sql.Tx, which holds nothing any more, rolled back.
func (w *Writer) finish(tx *sql.Tx) error {
	defer tx.Rollback()
	for since := time.Now(); ; {
		_, err := (kept{w}).ExecContext(context.Background(), "COMMIT")
		if err == nil || !w.opts.Busy(err) {
			return err
		}
		if time.Since(since) > w.opts.Wait {
			return &BusyError{File: w.opts.File, Wait: fmt.Sprint(w.opts.Wait), Err: err}
		}
		time.Sleep(time.Millisecond)
	}
}

// call runs the request's function. A panic is kept for its own caller.
func (r *request) call(tx *sql.Tx) {
	defer func() {
		if p := recover(); p != nil {
			r.paniced = p
		}
	}()
	r.err = r.fn(context.WithoutCancel(r.ctx), tx)
}

// begin takes the write lock, waiting for other processes as long as the
// request may. It polls faster than SQLite's own busy handler, which leaves
// two busy processes with one of them starving.
func (w *Writer) begin(r *request) (*sql.Tx, error) {
	if !w.contended.IsZero() {
		if time.Since(w.contended) > 100*time.Millisecond {
			w.contended = time.Time{}
		} else {
			time.Sleep(gap) // leave the other process its turn
		}
	}
	deadline := r.since.Add(w.opts.Wait)
	pause := 50 * time.Microsecond
	for {
		tx, err := w.open()
		if err == nil {
			return tx, nil
		}
		if !w.opts.Busy(err) {
			return nil, err
		}
		w.contended = time.Now()
		if !w.contended.Before(deadline) {
			return nil, &BusyError{File: w.opts.File, Wait: fmt.Sprint(w.opts.Wait), Err: err}
		}
		t := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-t.C:
		case <-r.ctx.Done():
			t.Stop()
			return nil, r.ctx.Err()
		}
		if pause = pause * 5 / 4; time.Since(r.since) < time.Second {
			pause = min(pause, time.Millisecond)
		} else {
			pause = min(pause, 10*time.Millisecond)
		}
	}
}
