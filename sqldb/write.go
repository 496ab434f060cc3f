package sqldb

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"time"
)

// Tries of a transaction that the server rolled back, and the first pause
// between them; it doubles each time.
const (
	writeTries = 6
	firstPause = 5 * time.Millisecond
)

// Write runs fn in one transaction and commits it. If fn returns an error or
// panics, nothing of it is written, and the error is returned as it is.
//
// fn may be called again when the transaction was rolled back by the server
// (a deadlock, a connection lost before the commit, a failed group commit), so
// it must set what it captures anew each time. It must use the context it is
// given: on SQLite many callers' functions run one after the other in one
// commit, each behind a savepoint, and a cancelled statement would undo its
// mates. There it must also be brief, and must not call Write or Run.
//
// An error of the commit itself on MySQL and PostgreSQL means that the
// outcome is unknown.
func (db *DB) Write(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	if db.closed.Load() {
		return ErrClosed
	}
	if db.opts.Writer != nil {
		return db.opts.Writer.do(ctx, fn)
	}
	return db.again(ctx, func() (sure bool, err error) { return db.transact(ctx, fn) })
}

// Run runs fn, which must execute exactly one statement that changes
// something, as a transaction of its own. It is Write without the round trips
// of BEGIN and COMMIT where the server commits a lone statement by itself.
func (db *DB) Run(ctx context.Context, fn func(ctx context.Context, q Querier) error) error {
	if db.closed.Load() {
		return ErrClosed
	}
	if db.opts.Writer != nil {
		return db.opts.Writer.do(ctx, func(ctx context.Context, tx *sql.Tx) error { return fn(ctx, db.On(tx)) })
	}
	return db.again(ctx, func() (bool, error) {
		err := fn(ctx, db.pool)
		return db.Fault(err) == Conflict, err // a lost reply may hide a commit
	})
}

// On returns tx with prepared statements that are kept, where that pays:
// inside Write on SQLite. Elsewhere it is tx itself.
func (db *DB) On(tx *sql.Tx) Querier {
	if w := db.opts.Writer; w != nil && w.current.Load() == tx {
		return kept{w}
	}
	return tx
}

// again repeats try, with growing pauses, while it failed and is sure to have
// had no effect.
func (db *DB) again(ctx context.Context, try func() (sure bool, err error)) error {
	pause := firstPause
	for n := 1; ; n++ {
		sure, err := try()
		if err == nil || !sure || n == writeTries || ctx.Err() != nil {
			return err
		}
		t := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
		pause *= 2
	}
}

// transact runs fn in a transaction of the pool. sure says that a failure had
// no effect and may be mended by another try.
func (db *DB) transact(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) (sure bool, err error) {
	tx, err := db.pool.BeginTx(ctx, nil)
	if err != nil {
		return db.Fault(err) == Lost, err
	}
	defer tx.Rollback()
	if err := fn(ctx, tx); err != nil {
		f := db.Fault(err)
		return f == Conflict || f == Lost, err
	}
	err = tx.Commit()
	return db.Fault(err) == Conflict, err
}
