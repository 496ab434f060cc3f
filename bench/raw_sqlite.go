package main

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the SDK that Spool uses
)

const rawTableSQLite = `CREATE TABLE IF NOT EXISTS raw_jobs (id integer PRIMARY KEY AUTOINCREMENT NOT NULL, queue varchar NOT NULL, payload text NOT NULL,
	attempts integer NOT NULL, reserved_at integer, available_at integer NOT NULL, created_at integer NOT NULL)`

// rawSQLite has one connection and the statements prepared on it.
type rawSQLite struct {
	db     *sql.DB
	conn   *sql.Conn
	body   *envelope
	insert *sql.Stmt
	take   *sql.Stmt
	remove *sql.Stmt
}

func openRawSQLite(ctx context.Context, s *store, body *envelope) (player, error) {
	mode := "full"
	if s.name == "sqlite-normal" {
		mode = "normal"
	}
	db, err := sql.Open("sqlite", "file:"+s.dsn+".raw?_txlock=immediate&_pragma=journal_mode(wal)&_pragma=synchronous("+mode+")")
	if err != nil {
		return nil, err
	}
	p := &rawSQLite{db: db, body: body}
	if err := p.prepare(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return p, nil
}

func (p *rawSQLite) prepare(ctx context.Context) (err error) {
	if p.conn, err = p.db.Conn(ctx); err != nil {
		return err
	}
	for _, q := range []string{rawTableSQLite, "CREATE INDEX IF NOT EXISTS raw_jobs_queue_index ON raw_jobs (queue)"} {
		if _, err := p.conn.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	for _, s := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&p.insert, "INSERT INTO raw_jobs (queue, attempts, reserved_at, available_at, created_at, payload) VALUES ('default', 0, NULL, ?1, ?1, ?2)"},
		{&p.take, "UPDATE raw_jobs SET reserved_at = ?1, attempts = attempts + 1 WHERE id IN (SELECT id FROM raw_jobs" +
			" WHERE queue = 'default' AND reserved_at IS NULL AND available_at <= ?1 ORDER BY id LIMIT ?2) RETURNING id, payload"},
		{&p.remove, "DELETE FROM raw_jobs WHERE id IN (SELECT value FROM json_each(?))"},
	} {
		if *s.stmt, err = p.conn.PrepareContext(ctx, s.text); err != nil {
			return err
		}
	}
	return nil
}

func (p *rawSQLite) close() error { return errors.Join(p.conn.Close(), p.db.Close()) }

func (p *rawSQLite) reset(ctx context.Context) error {
	_, err := p.conn.ExecContext(ctx, "DELETE FROM raw_jobs")
	return err
}

func (p *rawSQLite) run(ctx context.Context, t task) (result, error) {
	switch {
	case t.Kind == push && t.Width == 1:
		took, err := concurrently(t.Jobs, 1, func(i int) error {
			_, err := p.insert.ExecContext(ctx, time.Now().Unix(), p.body.body(i))
			return err
		})
		return result{Elapsed: took}, err
	case t.Kind == push:
		return p.grouped(ctx, t)
	case t.Kind == bulk:
		begun := time.Now()
		for from := 0; from < t.Jobs; from += t.Width {
			err := p.commit(ctx, func() error { return p.inserts(ctx, from, min(t.Width, t.Jobs-from)) })
			if err != nil {
				return result{}, err
			}
		}
		return result{Elapsed: time.Since(begun)}, nil
	case t.Kind == drain:
		return loops(t.Jobs, 1, func() (func(bool) (int, error), error) { return p.drain(ctx, t.Width), nil })
	}
	return result{}, errors.ErrUnsupported
}

func (p *rawSQLite) inserts(ctx context.Context, from, n int) error {
	now := time.Now().Unix()
	for i := range n {
		if _, err := p.insert.ExecContext(ctx, now, p.body.body(from+i)); err != nil {
			return err
		}
	}
	return nil
}

// commit runs f in a transaction. The statements of the connection are in it.
func (p *rawSQLite) commit(ctx context.Context, f func() error) error {
	if _, err := p.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := f(); err != nil {
		_, undo := p.conn.ExecContext(ctx, "ROLLBACK")
		return errors.Join(err, undo)
	}
	_, err := p.conn.ExecContext(ctx, "COMMIT")
	return err
}

// grouped has one goroutine commit whatever waits of many callers.
func (p *rawSQLite) grouped(ctx context.Context, t task) (result, error) {
	type call struct {
		body string
		done chan error
	}
	calls := make(chan call, t.Width)
	var writer sync.WaitGroup
	writer.Go(func() {
		for first := range calls {
			group := []call{first}
			for len(calls) > 0 {
				group = append(group, <-calls)
			}
			err := p.commit(ctx, func() error {
				now := time.Now().Unix()
				for _, c := range group {
					if _, err := p.insert.ExecContext(ctx, now, c.body); err != nil {
						return err
					}
				}
				return nil
			})
			for _, c := range group {
				c.done <- err
			}
		}
	})
	took, err := concurrently(t.Jobs, t.Width, func(i int) error {
		c := call{p.body.body(i), make(chan error, 1)}
		calls <- c
		return <-c.done
	})
	close(calls)
	writer.Wait()
	return result{Elapsed: took}, err
}

// drain returns a step that deletes the last batch and reserves the next, in
// one transaction.
func (p *rawSQLite) drain(ctx context.Context, width int) func(last bool) (int, error) {
	held := ""
	return func(last bool) (int, error) {
		var removed int64
		err := p.commit(ctx, func() error {
			if held != "" {
				res, err := p.remove.ExecContext(ctx, "["+held+"]")
				if err != nil {
					return err
				}
				if removed, err = res.RowsAffected(); err != nil {
					return err
				}
			}
			if held = ""; last {
				return nil
			}
			rows, err := p.take.QueryContext(ctx, time.Now().Unix(), width)
			if err != nil {
				return err
			}
			held, err = idList(rows)
			return err
		})
		return int(removed), err
	}
}
