package failed_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/schema"
)

var errUndo = errors.New("undo")

func TestLogTx(t *testing.T) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			failedTable(t, db.DB, schema.Newest)
			s := failed.NewSQL(db.DB, nil)
			if s.Database() != db.SQL() {
				t.Error("Database is another pool")
			}
			err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				if err := s.LogTx(ctx, tx, record(1)); err != nil {
					return err
				}
				return errUndo
			})
			if !errors.Is(err, errUndo) {
				t.Fatal(err)
			}
			wantCount(t, s, failed.Filter{}, 0)
			for range 2 {
				err = db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
					return errors.Join(s.LogTx(ctx, tx, record(1)), s.LogTx(ctx, tx, record(2)))
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			wantRecord(t, s, record(1).UUID, record(1))
			wantCount(t, s, failed.Filter{}, 2)
		})
	}
}

func TestSQLFindsByNumberToo(t *testing.T) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			failedTable(t, db.DB, schema.Newest)
			s := failed.NewSQL(db.DB, nil)
			for n := 1; n <= 6; n++ {
				r := record(n)
				if n == 5 {
					r.UUID, r.ID = "02", "02" // a foreign producer's
				}
				mustLog(t, s, r)
			}
			wantRecord(t, s, "1", record(1))
			got, _ := walk(t, s, failed.Filter{MinID: 2, MaxID: 4}, 2, nil)
			if diff := cmp.Diff(uuids(4, 3, 2), got); diff != "" {
				t.Errorf("numbers 2 to 4 (-want +got):\n%s", diff)
			}
			digits, err := s.Find(t.Context(), "02")
			if err != nil || digits.UUID != "02" {
				t.Errorf("Find of a uuid of digits: %+v, %v", digits, err)
			}
			if n, err := s.Forget(t.Context(), "02", "6"); n != 2 || err != nil {
				t.Errorf("Forget = %d, %v, want 2", n, err)
			}
			got, _ = walk(t, s, failed.Filter{}, 10, nil)
			if diff := cmp.Diff(uuids(4, 3, 2, 1), got); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
		})
	}
}

// Tables without uuids: Laravel's driver "database" and think-queue's.
func TestSQLWithoutUUIDs(t *testing.T) {
	id := map[string]string{
		"sqlite": "id integer primary key autoincrement", "mysql": "id int auto_increment primary key", "pgsql": "id bigserial primary key",
	}
	stamp := map[string]string{"sqlite": "datetime", "mysql": "timestamp", "pgsql": "timestamp(0)"}
	for name, open := range databases {
		for profile, columns := range map[string]failed.Columns{"laravel": failed.IDColumns(), "think": failed.ThinkColumns()} {
			t.Run(name+" "+profile, func(t *testing.T) {
				t.Parallel()
				db := open(t)
				run(t, db.DB, "CREATE TABLE failed_jobs ("+id[name]+", connection text, queue text, payload text, exception text, "+
					columns.FailedAt+" "+stamp[name]+" NULL DEFAULT CURRENT_TIMESTAMP)")
				s := failed.NewSQL(db.DB, &failed.SQLOptions{Columns: columns})
				for n := 1; n <= 4; n++ {
					if got, err := s.Log(t.Context(), record(n)); err != nil || got != fmt.Sprint(n) {
						t.Fatalf("Log = %q, %v, want the number %d", got, err, n)
					}
				}
				want := record(2)
				want.ID, want.UUID = "2", ""
				wantRecord(t, s, "2", want)
				if _, err := s.Find(t.Context(), record(2).UUID); !errors.Is(err, failed.ErrNotFound) {
					t.Errorf("Find by uuid: %v", err)
				}
				if n, err := s.Forget(t.Context(), "1", "x", "3", "77"); n != 2 || err != nil {
					t.Errorf("Forget = %d, %v, want 2", n, err)
				}
				run(t, db.DB, "INSERT INTO failed_jobs (connection, queue, payload, exception, "+columns.FailedAt+") VALUES (NULL, NULL, NULL, NULL, NULL)")
				page, _, err := s.List(t.Context(), failed.Filter{}, "", 10)
				if err != nil || len(page) != 3 || page[0].ID != "5" || !page[0].FailedAt.IsZero() || page[2].ID != "2" {
					t.Errorf("List: %+v, %v", page, err)
				}
				if n, err := s.Flush(t.Context(), at(2)); n != 1 || err != nil {
					t.Errorf("Flush = %d, %v, want 1", n, err)
				}
			})
		}
	}
}

func TestSQLReadsLaravelsRow(t *testing.T) {
	text, err := os.ReadFile("testdata/laravel8.json")
	if err != nil {
		t.Fatal(err)
	}
	var row struct {
		UUID, Connection, Queue, Payload, Exception string
		FailedAt                                    string `json:"failed_at"`
	}
	if err := json.Unmarshal(text, &row); err != nil {
		t.Fatal(err)
	}
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			failedTable(t, db.DB, 8)
			d := db.Dialect()
			err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, d.Insert("failed_jobs", []string{"uuid", "connection", "queue", "payload", "exception", "failed_at"}, 1),
					row.UUID, row.Connection, row.Queue, row.Payload, row.Exception, row.FailedAt)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			shanghai := time.FixedZone("PRC", 8*3600)
			s := failed.NewSQL(db.DB, &failed.SQLOptions{Location: shanghai})
			r, err := s.Find(t.Context(), row.UUID)
			if err != nil {
				t.Fatal(err)
			}
			if r.Connection != row.Connection || r.Queue != row.Queue || string(r.Payload) != row.Payload || r.Exception != row.Exception {
				t.Errorf("got %+v", r)
			}
			if want := time.Date(2026, 11, 20, 12, 54, 46, 0, shanghai); !r.FailedAt.Equal(want) {
				t.Errorf("failed at %v, want %v", r.FailedAt, want)
			}
			// Logged again by Go, the row is the same to the letter, but for its number.
			if _, err := s.Log(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if r, err = s.Find(t.Context(), row.UUID); err != nil {
				t.Fatal(err)
			}
			got := laravel(t, append([]string{"database-uuids"}, db.pdo...), []any{"row", r.Row})[0].(map[string]any)
			if diff := cmp.Diff(map[string]any{
				"id": float64(r.Row), "uuid": row.UUID, "connection": row.Connection, "queue": row.Queue, "payload": row.Payload,
				"exception": row.Exception, "failed_at": row.FailedAt,
			}, got); diff != "" {
				t.Errorf("-PHP's row +Go's:\n%s", diff)
			}
		})
	}
}

func TestSQLIsSharedWithLaravel(t *testing.T) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			failedTable(t, db.DB, 8)
			s := failed.NewSQL(db.DB, &failed.SQLOptions{Location: time.FixedZone("", 8*3600)})
			mustLog(t, s, record(1), record(2))
			provider := append(append([]string{"database-uuids"}, db.pdo...), "Asia/Shanghai")
			const payload = `{"uuid":"from-php","data":"\u4e2d"}`
			start := time.Now().Truncate(time.Second)
			got := laravel(t, provider, []any{"all"}, []any{"find", record(1).UUID}, []any{"forget", record(2).UUID}, []any{"log", "redis", "php", payload, "oh no"})
			all := got[0].([]any)
			if len(all) != 2 || all[0].(map[string]any)["id"] != record(2).UUID || got[2] != true {
				t.Errorf("Laravel lists %v and forgets: %v", all, got[2])
			}
			want := map[string]any{
				"id": record(1).UUID, "connection": "redis", "queue": "emails", "payload": string(record(1).Payload),
				"exception": record(1).Exception, "failed_at": "2026-11-20 20:01:46",
			}
			if diff := cmp.Diff(want, got[1], anyRow); diff != "" {
				t.Errorf("Laravel finds (-want +got):\n%s", diff)
			}
			r, err := s.Find(t.Context(), "from-php")
			if err != nil {
				t.Fatal(err)
			}
			if string(r.Payload) != payload || r.Queue != "php" || !strings.HasPrefix(r.Exception, "RuntimeException: oh no in ") ||
				r.FailedAt.Before(start) || r.FailedAt.After(time.Now()) {
				t.Errorf("Go finds %+v", r)
			}
			wantCount(t, s, failed.Filter{}, 2)
		})
	}
}

// MySQL's old utf8 takes no letters beyond U+FFFF, and latin1 fewer still.
func TestSQLNarrowColumns(t *testing.T) {
	for charset, want := range map[string]struct{ payload, exception string }{
		"utf8mb3": {`{"a":"é中\ud83d\ude80"}`, `é中\u{1f680}`},
		"latin1":  {`{"a":"\u00e9\u4e2d\ud83d\ude80"}`, `\u{e9}\u{4e2d}\u{1f680}`},
		"utf8mb4": {`{"a":"é中🚀"}`, "é中🚀"},
	} {
		t.Run(charset, func(t *testing.T) {
			t.Parallel()
			db := databases["mysql"](t)
			failedTable(t, db.DB, 8)
			run(t, db.DB, "ALTER TABLE failed_jobs CONVERT TO CHARACTER SET "+charset)
			s := failed.NewSQL(db.DB, nil)
			r := record(1)
			r.Payload, r.Exception = []byte(`{"a":"é中🚀"}`), "é中🚀"
			mustLog(t, s, r)
			r.Payload, r.Exception = []byte(want.payload), want.exception
			wantRecord(t, s, r.UUID, r)
			r.Payload, r.Exception = []byte("poison é中🚀"), "x"
			mustLog(t, s, r)
			wantRecord(t, s, r.UUID, r)
		})
	}
}

func TestSQLWithoutTable(t *testing.T) {
	for name, open := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			s := failed.NewSQL(db.DB, nil)
			_, err := s.Log(t.Context(), record(1))
			if db.Fault(err) != sqldb.NoTable {
				t.Errorf("Log: got %v, want the database's own word that a table is missing", err)
			}
			if _, _, err := s.List(t.Context(), failed.Filter{}, "", 1); db.Fault(err) != sqldb.NoTable {
				t.Errorf("List: got %v", err)
			}
			failedTable(t, db.DB, schema.Newest) // no failure is remembered
			mustLog(t, s, record(1))
		})
	}
}

// A long table costs no more memory than a short one.
func TestMemoryStaysFlat(t *testing.T) {
	const payloadSize, page = 400, 200
	fill := func(rows int) *failed.SQL {
		db := databases["sqlite"](t)
		failedTable(t, db.DB, schema.Newest)
		run(t, db.DB, fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d)
			INSERT INTO failed_jobs (uuid, connection, queue, payload, exception, failed_at)
			SELECT 'uuid-' || i, 'redis', 'q', '{"x":"%s"}', 'boom', '2026-11-20 12:00:00' FROM n`, rows, strings.Repeat("x", payloadSize)))
		return failed.NewSQL(db.DB, nil)
	}
	// most is the largest heap in use while all pages are read, and then flushed.
	most := func(rows int) (most uint64) {
		s := fill(rows)
		seen, pages := 0, 0
		look := func() {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
		for cursor := ""; ; {
			records, next, err := s.List(t.Context(), failed.Filter{}, cursor, page)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				if len(r.Payload) < payloadSize {
					t.Fatalf("record %s has a payload of %d bytes", r.ID, len(r.Payload))
				}
			}
			seen += len(records)
			if pages++; pages%50 == 1 {
				look()
			}
			if cursor = next; next == "" {
				break
			}
		}
		if seen != rows {
			t.Errorf("saw %d records of %d", seen, rows)
		}
		if n, err := s.Flush(t.Context(), time.Time{}); n != int64(rows) || err != nil {
			t.Errorf("Flush = %d, %v", n, err)
		}
		look()
		return most
	}
	few, many := most(page), most(manyRows)
	const slack = 4 << 20
	if many > few+slack {
		t.Errorf("the heap grew to %d bytes over %d rows, to %d over %d", many, manyRows, few, page)
	}
}
