package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// open begins a transaction on the writer's connection, which it opens first
// if need be.
func (w *Writer) open() (*sql.Tx, error) {
	ctx := context.Background()
	for n := 0; ; n++ {
		if w.conn == nil {
			conn, err := w.pool.Conn(ctx)
			if err != nil {
				return nil, err
			}
			w.conn = conn
		}
		tx, err := w.conn.BeginTx(ctx, nil)
		if n == 0 && (errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)) {
			w.drop()
			continue
		}
		return tx, err
	}
}

// drop closes the writer's connection and what was prepared on it.
func (w *Writer) drop() {
	for _, s := range w.stmts {
		_ = s.Close()
	}
	w.stmts = map[string]*sql.Stmt{}
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// maxKept bounds the prepared statements of a writer.
const maxKept = 200

// kept runs statements of the current transaction, prepared once.
type kept struct{ w *Writer }

func (k kept) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := k.w.stmts[query]; ok {
		return s, nil
	}
	s, err := k.w.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if len(k.w.stmts) >= maxKept {
		for q, old := range k.w.stmts {
			_ = old.Close()
			delete(k.w.stmts, q)
			break
		}
	}
	k.w.stmts[query] = s
	return s, nil
}

func (k kept) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := k.stmt(ctx, query) //nolint:sqlclosecheck // it is kept
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

func (k kept) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := k.stmt(ctx, query) //nolint:sqlclosecheck // it is kept
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

func (k kept) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := k.stmt(ctx, query) //nolint:sqlclosecheck // it is kept
	if err != nil {
		return k.w.current.Load().QueryRowContext(ctx, query, args...) // it reports the error
	}
	return s.QueryRowContext(ctx, args...)
}
