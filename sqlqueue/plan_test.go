package sqlqueue_test

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqlqueue"
)

// TestPlans asks each database how it would run the statements of the hot path
// on a table in which delayed jobs stand before ready ones, without fresh
// statistics, which a queue's table never has.
func TestPlans(t *testing.T) {
	onEach(t, func(t *testing.T, db *sqldb.DB) {
		create(t, db)
		fill(t, db, 20_000)
		explain := map[string]string{sqldb.SQLite: "EXPLAIN QUERY PLAN ", sqldb.MySQL: "EXPLAIN ", sqldb.Postgres: "EXPLAIN "}[db.Dialect().Name]
		for name, s := range sqlqueue.HotPath(db, "default", time.Now().Unix()) {
			t.Run(name, func(t *testing.T) {
				plan := planOf(t, db, explain+s.Query, s.Args)
				// A walk over the table or over Laravel's index, which holds
				// every job of the queue, delayed and reserved ones too.
				if bad := regexp.MustCompile(`Seq Scan|SCAN jobs\b|jobs_queue_index`).FindString(used(db, plan)); bad != "" {
					t.Errorf("%q in the plan of\n%s\n%s", bad, s.Query, plan)
				}
				for _, index := range s.Indexes {
					if !strings.Contains(used(db, plan), index) {
						t.Errorf("%s is not used for\n%s\n%s", index, s.Query, plan)
					}
				}
			})
		}
	})
}

// fill stores n delayed jobs, then n ready ones.
func fill(t testing.TB, db *sqldb.DB, n int) {
	t.Helper()
	now := time.Now().Unix()
	for _, available := range []int64{now + 100_000, now} {
		for done := 0; done < n; done += 1000 {
			err := db.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				values := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("('default', 'x', 0, NULL, %d, %d),", available, now), min(1000, n-done)), ",")
				_, err := tx.ExecContext(ctx, "INSERT INTO jobs (queue, payload, attempts, reserved_at, available_at, created_at) VALUES "+values)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func planOf(t *testing.T, db *sqldb.DB, query string, args []any) string {
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan strings.Builder
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		targets := make([]any, len(names))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			fmt.Fprintf(&plan, "%s=%s\t", names[i], v.String)
		}
		plan.WriteByte('\n')
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

// used leaves out what MySQL considered and did not take.
func used(db *sqldb.DB, plan string) string {
	if db.Dialect().Name != sqldb.MySQL {
		return plan
	}
	return regexp.MustCompile(`possible_keys=\S*`).ReplaceAllString(plan, "")
}

// TestReserveStaysFast compares a reserve from an almost empty table with one
// from a table full of delayed and waiting jobs.
func TestReserveStaysFast(t *testing.T) {
	if testing.Short() {
		t.Skip("fills large tables")
	}
	onEach(t, func(t *testing.T, db *sqldb.DB) {
		create(t, db)
		c := queue(t, db, nil)
		few := fastest(t, c)
		fill(t, db, 50_000)
		many := fastest(t, c)
		t.Logf("reserve and delete of 10: %v, with 50,000 delayed and 50,000 waiting %v", few, many)
		if many > 10*few+50*time.Millisecond { // a scan of the table takes longer on any machine
			t.Errorf("reserve and delete of 10 takes %v in a full table, %v in an empty one", many, few)
		}
	})
}

// fastest of some reserves and deletes of ten jobs.
func fastest(t *testing.T, c *sqlqueue.Conn) time.Duration {
	t.Helper()
	best := time.Hour
	for range 20 {
		push(t, c, make([]driver.Message, 10)...)
		start := time.Now()
		rs := reserve(t, c, 10)
		if len(rs) != 10 {
			t.Fatalf("%d jobs, want 10", len(rs))
		}
		if err := c.Delete(t.Context(), rs); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(start))
	}
	return best
}
