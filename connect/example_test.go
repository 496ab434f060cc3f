package connect_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/sqldb/schema"
)

type SendReceipt struct {
	Order int64 `json:"order"`
}

// An order and the job that it needs commit together, or not at all.
func placeOrder(ctx context.Context, set *connect.Set, id int64) error {
	db, err := set.Database(ctx, "") // the default one
	if err != nil {
		return err
	}
	sqlTx, err := db.SQL().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	tx := set.Client.InTx(sqlTx)
	defer tx.Rollback(ctx) // does nothing after Commit
	if _, err := sqlTx.ExecContext(ctx, db.Rebind("INSERT INTO orders (id) VALUES (?)"), id); err != nil {
		return err
	}
	if _, err := spool.Dispatch(ctx, tx, SendReceipt{Order: id}); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// Where the jobs are in the application's own database, a dispatch joins the
// transaction.
func ExampleSet_Database() {
	ctx := context.Background()
	set, err := newShop(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()
	defer os.RemoveAll(filepath.Dir(set.Config.Databases["sqlite"].Database))

	fmt.Println(placeOrder(ctx, set, 7))
	fmt.Println(placeOrder(ctx, set, 7) != nil) // there is an order 7 already: no second job
	conn, err := set.Manager.Connection(ctx, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	size, err := conn.Size(ctx, "")
	fmt.Println(size.Pending, err)
	// Output:
	// <nil>
	// true
	// 1 <nil>
}

// newShop returns a fresh database with a table of orders.
func newShop(ctx context.Context) (*connect.Set, error) {
	dir, err := os.MkdirTemp("", "shop")
	if err != nil {
		return nil, err
	}
	cfg, err := config.Load(&config.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	set, err := connect.New(cfg, nil)
	if err != nil {
		return nil, err
	}
	db, err := set.Database(ctx, "")
	if err != nil {
		return nil, err
	}
	if _, err := schema.Create(ctx, db, schema.Names{Jobs: "jobs"}); err != nil {
		return nil, err
	}
	_, err = db.SQL().ExecContext(ctx, "CREATE TABLE orders (id INTEGER PRIMARY KEY)")
	return set, err
}
