package once_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/once"
	"github.com/spoolq/spool/sqldb/sqlite"
)

type Charge struct{ Order int }

// charging returns a handler that charges an order once, however often its job
// runs.
func charging(db *sql.DB, keys *once.Keys) func(ctx context.Context, job Charge) error {
	return func(ctx context.Context, job Charge) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		first, err := keys.Once(ctx, tx, "charge:"+spool.JobFrom(ctx).UUID)
		if !first || err != nil {
			return err // done before: nothing is left to do
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO charges VALUES (?)", job.Order); err != nil {
			return err
		}
		return tx.Commit()
	}
}

func Example() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "once")
	defer os.RemoveAll(dir)
	db, err := sqlite.Open(filepath.Join(dir, "app.db"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	keys := once.New(db.Dialect(), nil)
	fmt.Println(keys.Create(ctx, db.SQL()))
	_, err = db.SQL().ExecContext(ctx, "CREATE TABLE charges (order_id integer)")
	fmt.Println(err)

	charge := charging(db.SQL(), keys)
	job := spool.WithJob(ctx, &spool.Job{UUID: "5f0c1a6e-4c34-4d7b-9b8e-0d6f3f1f2a10"})
	fmt.Println(charge(job, Charge{Order: 7}), charge(job, Charge{Order: 7}))
	var n int
	err = db.SQL().QueryRowContext(ctx, "SELECT count(*) FROM charges").Scan(&n)
	fmt.Println("charged", n, "time", err)
	// Output:
	// <nil>
	// <nil>
	// <nil> <nil>
	// charged 1 time <nil>
}
