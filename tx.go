package spool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

// Tx binds dispatches to a transaction of the caller's database.
//
// Where the job's connection lives in the same database, the job is written
// inside the transaction: job and business rows commit together or not at
// all. On any other store the job is held in memory, pushed by Commit once
// the transaction has committed, and dropped by Rollback: a crash between the
// two loses it. Always end the transaction through the Tx, or jobs that are
// held are never pushed.
//
// A Tx is safe for concurrent use as far as the transaction is.
type Tx struct {
	c  *Client
	tx any

	mu      sync.Mutex
	done    bool
	pending []txSend
}

// txSend is what has to be done for one dispatch after the commit.
type txSend struct {
	held
	ids []string // written inside the transaction; nil if held
}

// InTx returns a dispatcher bound to tx: a *sql.Tx, a pgx.Tx, or anything else
// with a Commit and a Rollback of their form.
//
//	tx := client.InTx(sqlTx)
//	defer tx.Rollback(ctx)
//	… sqlTx.ExecContext(ctx, "insert into orders …")
//	spool.Dispatch(ctx, tx, SendReceipt{OrderID: id})
//	return tx.Commit(ctx)
func (c *Client) InTx(tx any) *Tx {
	switch tx.(type) {
	case sqlTx, pgxTx:
		return &Tx{c: c, tx: tx}
	}
	panic(fmt.Sprintf("spool: %T is no transaction: it has no Commit and Rollback of *sql.Tx or pgx.Tx", tx))
}

type sqlTx interface {
	Commit() error
	Rollback() error
}

type pgxTx interface {
	Commit(ctx context.Context) error
	Rollback(ctx context.Context) error
}

type txKey struct{}

// NewTxContext returns a context whose dispatches through a [Client] join t
// when the job or its connection asks for after_commit. Once t has ended they go
// out at once.
func NewTxContext(ctx context.Context, t *Tx) context.Context {
	return context.WithValue(ctx, txKey{}, t)
}

func txFrom(ctx context.Context) *Tx {
	t, _ := ctx.Value(txKey{}).(*Tx)
	return t
}

func (t *Tx) client() *Client { return t.c }

// ended says whether the transaction is over.
func (t *Tx) ended() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.done
}

// send implements [Dispatcher].
func (t *Tx) send(ctx context.Context, what sending) ([]string, error) {
	conn, queue := what.conn, what.queue
	ms := make([]driver.Message, len(what.jobs))
	for i, j := range what.jobs {
		ms[i] = j.msg
	}
	if err := conn.conn.Traits().Check(ms); err != nil {
		return nil, wrap("push", conn.Name, queue, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return nil, ErrTxDone
	}
	s := txSend{held: held{t.c, what, time.Now()}}
	if p, ok := conn.conn.(driver.TxPusher); ok {
		ids, err := p.PushTx(ctx, t.tx, queue, ms)
		switch {
		case err == nil:
			s.ids = ids
			t.pending = append(t.pending, s)
			return ids, nil
		case !errors.Is(err, driver.ErrForeignTx):
			return nil, wrap("push", conn.Name, queue, err)
		}
	}
	t.pending = append(t.pending, s)
	return make([]string, len(what.jobs)), nil
}

// Commit commits the transaction, then pushes the jobs that were held. If the
// commit fails, or its outcome is unknown, none is pushed. If a push fails after
// the commit, Commit returns a [*HeldError]: the transaction stands, and those
// jobs are missing.
func (t *Tx) Commit(ctx context.Context) error {
	t.mu.Lock()
	done, pending := t.done, t.pending
	t.done, t.pending = true, nil
	t.mu.Unlock() // what is pushed may dispatch more
	if done {
		return ErrTxDone
	}
	var err error
	switch tx := t.tx.(type) {
	case sqlTx:
		err = tx.Commit()
	case pgxTx:
		err = tx.Commit(ctx)
	}
	if err != nil {
		t.unlock(ctx, pending)
		return err
	}
	var missing HeldError
	for _, s := range pending {
		if s.ids != nil {
			s.conn.conn.(driver.TxPusher).PushedTx(s.queue)
			t.c.queued(ctx, s.conn, s.queue, s.jobs, s.ids)
			continue
		}
		s.letGo(ctx, &missing)
	}
	return missing.orNil()
}

// unlock gives back the locks of jobs that are not there after all.
func (t *Tx) unlock(ctx context.Context, pending []txSend) {
	for _, s := range pending {
		t.c.unlock(ctx, s.jobs)
	}
}

// Rollback rolls the transaction back and drops the jobs. After Commit it does
// nothing, so that it can be deferred.
func (t *Tx) Rollback(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return nil
	}
	defer t.unlock(ctx, t.pending)
	t.done, t.pending = true, nil
	switch tx := t.tx.(type) {
	case sqlTx:
		return tx.Rollback()
	case pgxTx:
		return tx.Rollback(ctx)
	}
	return nil
}
