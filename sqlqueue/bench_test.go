package sqlqueue_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/mysql"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/sqlite"
	"github.com/spoolq/spool/sqlqueue"
)

// body is as long as a small Laravel job.
var body = []byte(`{"uuid":"33c92d81-23aa-4b9b-a2ec-9561bd084404","displayName":"SendReminderEmail","data":"` + strings.Repeat("x", 400) + `"}`)

// BenchmarkSQLite compares the driver with the bare statements that the store
// needs for the same work (raw). One operation is one job.
func BenchmarkSQLite(b *testing.B) {
	for _, mode := range []sqlite.Synchronous{sqlite.Full, sqlite.Normal} {
		b.Run(string(mode), func(b *testing.B) {
			db, err := sqlite.Open(filepath.Join(b.TempDir(), "q.db"), &sqlite.Options{Synchronous: mode})
			benchmark(b, tables(b, db, err), rawSQLite{})
		})
	}
}

func BenchmarkMySQL(b *testing.B) {
	db, err := mysql.Open(testserver.MySQL(b), nil)
	benchmark(b, tables(b, db, err), rawMySQL{})
}

func BenchmarkPostgres(b *testing.B) {
	db, err := postgres.Open(testserver.Postgres(b), nil)
	benchmark(b, tables(b, db, err), rawPostgres{})
}

// raw is the least a store has to do.
type raw interface {
	push(ctx context.Context, db *sqldb.DB, n int) error
	drain(ctx context.Context, db *sqldb.DB, n int) (int, error) // reserve n, delete n
}

func benchmark(b *testing.B, db *sqldb.DB, r raw) {
	c := queue(b, db, nil)
	ctx := b.Context()
	push := func(n int) error {
		ms := make([]driver.Message, n)
		for i := range ms {
			ms[i].Body = body
		}
		_, err := c.Push(ctx, "default", ms)
		return err
	}
	rawPush := func(n int) error { return r.push(ctx, db, n) }
	drain := func(n int) (int, error) { return reserveDelete(ctx, c, n) }
	rawDrain := func(n int) (int, error) { return r.drain(ctx, db, n) }
	for _, how := range []struct {
		name  string
		push  func(int) error
		drain func(int) (int, error)
	}{{"spool", push, drain}, {"raw", rawPush, rawDrain}} {
		for _, g := range []int{1, 16} {
			b.Run(fmt.Sprintf("push-%d/%s", g, how.name), func(b *testing.B) {
				defer empty(b, c)
				concurrently(b, g, func() error { return how.push(1) })
			})
		}
		b.Run("bulk-1000/"+how.name, func(b *testing.B) {
			defer empty(b, c)
			b.ResetTimer()
			for n := 0; n < b.N; n += 1000 {
				if err := how.push(min(1000, b.N-n)); err != nil {
					b.Fatal(err)
				}
			}
			rate(b)
		})
		for _, size := range []int{1, 100, 500} {
			b.Run(fmt.Sprintf("drain-%d/%s", size, how.name), func(b *testing.B) {
				for n := 0; n < b.N; n += 1000 {
					if err := push(min(1000, b.N-n)); err != nil {
						b.Fatal(err)
					}
				}
				b.ResetTimer()
				for n := 0; n < b.N; {
					k, err := how.drain(size)
					if err != nil || k == 0 {
						b.Fatalf("drained %d of %d: %v", n, b.N, err)
					}
					n += k
				}
				rate(b)
			})
		}
	}
}

func rate(b *testing.B) {
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

func concurrently(b *testing.B, g int, f func() error) {
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range g {
		wg.Go(func() {
			for range (b.N + i) / g {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	rate(b)
}

func reserveDelete(ctx context.Context, c *sqlqueue.Conn, n int) (int, error) {
	rs, err := c.Reserve(ctx, "default", n)
	if err != nil || len(rs) == 0 {
		return 0, err
	}
	return len(rs), c.Delete(ctx, rs)
}

func empty(b *testing.B, c *sqlqueue.Conn) {
	if _, err := c.Clear(b.Context(), "default"); err != nil {
		b.Error(err)
	}
}

const insertOne = "INSERT INTO jobs (queue, attempts, reserved_at, available_at, created_at, payload) VALUES ('default', 0, NULL, ?, ?, ?)"

// ids reads the first column.
func ids(rows *sql.Rows, err error) ([]int64, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []int64
	for rows.Next() {
		var id int64
		var payload sql.RawBytes
		if err := rows.Scan(&id, &payload); err != nil {
			return nil, err
		}
		all = append(all, id)
	}
	return all, rows.Err()
}

func list(ids []int64) string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(ids)), ","), "[]")
}

type rawSQLite struct{}

func (rawSQLite) push(ctx context.Context, db *sqldb.DB, n int) error {
	return db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		now := time.Now().Unix()
		for range n {
			if _, err := db.On(tx).ExecContext(ctx, insertOne, now, now, string(body)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (rawSQLite) drain(ctx context.Context, db *sqldb.DB, n int) (int, error) {
	var taken []int64
	err := db.Write(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		taken, err = ids(db.On(tx).QueryContext(ctx, "UPDATE jobs SET reserved_at = ?, attempts = attempts + 1 WHERE id IN (SELECT id FROM jobs WHERE queue = 'default' ORDER BY id LIMIT ?) RETURNING id, payload", time.Now().Unix(), n))
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(taken), db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, id := range taken {
			if _, err := db.On(tx).ExecContext(ctx, "DELETE FROM jobs WHERE id = ?", id); err != nil {
				return err
			}
		}
		return nil
	})
}

type rawMySQL struct{}

func (rawMySQL) push(ctx context.Context, db *sqldb.DB, n int) error {
	now := time.Now().Unix()
	var args []any
	for range n {
		args = append(args, now, now, string(body))
	}
	_, err := db.SQL().ExecContext(ctx, insertOne+strings.Repeat(",('default', 0, NULL, ?, ?, ?)", n-1), args...)
	return err
}

func (rawMySQL) drain(ctx context.Context, db *sqldb.DB, n int) (int, error) {
	tx, err := db.SQL().BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	taken, err := ids(tx.QueryContext(ctx, "SELECT id, payload FROM jobs WHERE queue = 'default' AND reserved_at IS NULL AND available_at <= ? ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED", time.Now().Unix(), n))
	if err != nil || len(taken) == 0 {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE jobs SET reserved_at = ?, attempts = attempts + 1 WHERE id IN ("+list(taken)+")", time.Now().Unix()); err != nil {
		return 0, err
	}
	if err := tx.Commit(); err != nil {
		return 0, err
	}
	_, err = db.SQL().ExecContext(ctx, "DELETE FROM jobs WHERE id IN ("+list(taken)+")")
	return len(taken), err
}

type rawPostgres struct{}

func (rawPostgres) push(ctx context.Context, db *sqldb.DB, n int) error {
	now := time.Now().Unix()
	if n == 1 {
		_, err := db.SQL().ExecContext(ctx, db.Rebind(insertOne), now, now, string(body))
		return err
	}
	bodies := make([]string, n)
	for i := range bodies {
		bodies[i] = string(body)
	}
	_, err := db.SQL().ExecContext(ctx, "INSERT INTO jobs (queue, attempts, reserved_at, available_at, created_at, payload) SELECT 'default', 0, NULL, $1, $1, unnest($2::text[])", now, bodies)
	return err
}

func (rawPostgres) drain(ctx context.Context, db *sqldb.DB, n int) (int, error) {
	taken, err := ids(db.SQL().QueryContext(ctx, "UPDATE jobs SET reserved_at = $1, attempts = attempts + 1 WHERE id = ANY(ARRAY(SELECT id FROM jobs WHERE queue = 'default' AND reserved_at IS NULL AND available_at <= $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING id, payload", time.Now().Unix(), n))
	if err != nil {
		return 0, err
	}
	_, err = db.SQL().ExecContext(ctx, "DELETE FROM jobs WHERE id = ANY($1)", taken)
	return len(taken), err
}
