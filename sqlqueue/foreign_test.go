package sqlqueue_test

import (
	"errors"
	"testing"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/sqldb"
)

// TestTransactionsOfOtherDatabases offers each connection the transactions of
// every other kind of database: they are refused, and stay usable.
func TestTransactionsOfOtherDatabases(t *testing.T) {
	onEach(t, func(t *testing.T, db *sqldb.DB) {
		create(t, db)
		c := queue(t, db, nil)
		for _, s := range stores {
			other, err := s.open(t)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			create(t, other)
			tx, err := other.SQL().BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback()
			const insert = "INSERT INTO jobs (queue, payload, attempts, available_at, created_at) VALUES ('mine', 'x', 0, 0, 0)"
			if _, err := tx.ExecContext(t.Context(), insert); err != nil {
				t.Fatal(err)
			}
			if _, err := c.PushTx(t.Context(), tx, "default", []driver.Message{{Body: []byte("x")}}); !errors.Is(err, driver.ErrForeignTx) {
				t.Errorf("PushTx with a transaction of %s: %v, want ErrForeignTx", s.name, err)
			}
			if err := tx.Commit(); err != nil {
				t.Errorf("the transaction of %s was spoilt: %v", s.name, err)
			}
			var n int
			if err := other.SQL().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM jobs WHERE queue = 'mine'").Scan(&n); err != nil || n != 1 {
				t.Errorf("%s has %d rows of its transaction, %v; want 1", s.name, n, err)
			}
		}
		if s, err := c.Size(t.Context(), "default"); err != nil || s.Total() != 0 {
			t.Errorf("something was pushed: %+v, %v", s, err)
		}
	})
}
