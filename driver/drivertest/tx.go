package drivertest

import (
	"context"
	"database/sql"
	"errors"

	"github.com/spoolq/spool/driver"
)

func txCases() []testCase {
	pushes := []capability{storage, txs}
	deletes := []capability{storage, txDeletes, txs}
	return []testCase{
		{name: "jobs pushed in a transaction are there if it commits", needs: pushes, run: pushTxCommits},
		{name: "jobs pushed in a transaction are gone if it rolls back", needs: pushes, run: pushTxRollsBack},
		{name: "a waiter is woken by the commit", needs: append(pushes, waits), slow: true, run: pushTxWakes},
		{name: "push in a transaction of another database is refused", needs: pushes, run: pushTxForeign},
		{name: "push in a transaction keeps the limits", needs: append(pushes, bodyLimit), run: pushTxLimit},
		{name: "delete in a transaction does both or neither", needs: deletes, run: deleteTx},
		{name: "delete in a transaction of a lost job does neither", needs: append(deletes, fencing), run: deleteTxLost},
	}
}

// inTx begins a transaction in one of the ways of the harness and runs do in it.
func (f *fixture) inTx(way Tx, do func(tx any)) (commit, rollback func() error) {
	f.Helper()
	tx, commit, rollback := way.Begin(f.T)
	f.Cleanup(func() { _ = rollback() }) // so that a failed case leaves no locks
	do(tx)
	return commit, rollback
}

func (f *fixture) pushTx(tx any, q string, ss []sample) {
	f.Helper()
	ids, err := f.c.(driver.TxPusher).PushTx(f.ctx(), tx, q, messages(ss))
	f.must("PushTx", err)
	if len(ids) != len(ss) {
		f.Errorf("PushTx of %d messages returned %d ids", len(ss), len(ids))
	}
}

func pushTxCommits(f *fixture) {
	for _, way := range f.h.Txs {
		q := f.queue("tx")
		ss := append(f.newSamples(3), f.sample(`"delayed"`))
		ss[3].Delay = f.far()
		commit, _ := f.inTx(way, func(tx any) { f.pushTx(tx, q, ss) })
		f.must(way.Name+": commit", commit())
		f.c.(driver.TxPusher).PushedTx(q)
		f.sameOrder(f.idsOf(f.reserveN(f.other(), q, 3)), sampleIDs(ss[:3]))
		f.none(f.c, q, way.Name+": the fourth is delayed")
	}
}

func pushTxRollsBack(f *fixture) {
	for _, way := range f.h.Txs {
		q := f.queue("tx")
		_, rollback := f.inTx(way, func(tx any) { f.pushTx(tx, q, f.newSamples(3)) })
		f.must(way.Name+": rollback", rollback())
		f.none(f.c, q, way.Name+": rolled back")
		f.sized0(q)
	}
}

func pushTxWakes(f *fixture) {
	for _, way := range f.h.Txs {
		q := f.queue("tx")
		f.wokenBy(f.wakeWithin(), "PushedTx ("+way.Name+")", func() {
			commit, _ := f.inTx(way, func(tx any) { f.pushTx(tx, q, f.newSamples(1)) })
			f.must(way.Name+": commit", commit())
			f.c.(driver.TxPusher).PushedTx(q)
		}, f.c, q)
		f.reserveN(f.c, q, 1)
	}
}

func pushTxForeign(f *fixture) {
	q := f.queue("tx")
	refuse := func(what string, tx any) {
		f.Helper()
		ids, err := f.c.(driver.TxPusher).PushTx(f.ctx(), tx, q, messages(f.newSamples(1)))
		if !errors.Is(err, driver.ErrForeignTx) || len(ids) != 0 {
			f.Errorf("PushTx with %s returned %d ids and %v, want ErrForeignTx", what, len(ids), err)
		}
	}
	refuse("no transaction", nil)
	refuse("something that is no transaction", struct{}{})
	if way := f.h.ForeignTx; way != nil {
		commit, _ := f.inTx(*way, func(tx any) { refuse("a "+way.Name+" of another database", tx) })
		_ = commit() // nothing was written, so its error wouldn't matter
	}
	f.none(f.c, q, "every PushTx was refused")
}

func pushTxLimit(f *fixture) {
	if f.traits.MaxBody > largestRefuse {
		f.Skipf("the limit of %d bytes is too large to try", f.traits.MaxBody)
	}
	for _, way := range f.h.Txs {
		q := f.queue("tx")
		commit, _ := f.inTx(way, func(tx any) {
			ms := messages([]sample{f.sample(`1`), f.sized(f.traits.MaxBody + 1)})
			_, err := f.c.(driver.TxPusher).PushTx(f.ctx(), tx, q, ms)
			if e := new(driver.LimitError); !errors.As(err, &e) {
				f.Errorf("%s: PushTx of a body over the limit returned %v, want a *driver.LimitError", way.Name, err)
			}
		})
		f.must(way.Name+": commit after a refused PushTx", commit())
		f.none(f.c, q, "the whole PushTx was refused")
	}
}

// marking returns a function to run beside a delete, which pushes a job to q.
func (f *fixture) marking(q string, fail error) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		if _, err := f.c.(driver.TxPusher).PushTx(ctx, tx, q, messages(f.newSamples(1))); err != nil {
			return err
		}
		return fail
	}
}

func deleteTx(f *fixture) {
	c := f.c.(driver.TxDeleter)
	if db := c.Database(); db == nil || db != c.Database() {
		f.Error("Database is nil or differs from call to call")
	}
	q, marks := f.queue("jobs"), f.queue("marks")
	f.push(f.c, q, 1, 0)
	r := f.one(f.c, q, 1)

	boom := errors.New("boom")
	if err := c.DeleteTx(f.ctx(), r, f.marking(marks, boom)); !errors.Is(err, boom) {
		f.Errorf("DeleteTx whose other half failed returned %v, want that error", err)
	}
	f.none(f.c, marks, "the transaction failed")
	f.must("Release of the job that DeleteTx left", f.c.Release(f.ctx(), []driver.Reservation{r}, 0))

	r = f.one(f.c, q, 2)
	f.must("DeleteTx", c.DeleteTx(f.ctx(), r, f.marking(marks, nil)))
	f.one(f.c, marks, 1)
	f.none(f.c, q, "deleted")
	f.sized0(q)
}

func deleteTxLost(f *fixture) {
	q, marks := f.queue("jobs"), f.queue("marks")
	f.push(f.c, q, 1, 0)
	old := f.one(f.c, q, 1)
	f.must("Release", f.c.Release(f.ctx(), []driver.Reservation{old}, 0))
	now := f.one(f.other(), q, 2)
	err := f.c.(driver.TxDeleter).DeleteTx(f.ctx(), old, f.marking(marks, nil))
	if !errors.Is(err, driver.ErrLost) {
		f.Errorf("DeleteTx of a job that another holds returned %v, want ErrLost", err)
	}
	f.none(f.c, marks, "the reservation was lost")
	f.must("Delete by the holder", f.other().Delete(f.ctx(), []driver.Reservation{now}))
}
