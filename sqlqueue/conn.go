// Package sqlqueue is a queue in Laravel's jobs table, on SQLite, MySQL,
// MariaDB or PostgreSQL, or in think-queue's.
//
// What is stored is what Laravel's database driver stores, so PHP and Spool
// share a table as producers and as workers. What think-queue does otherwise is
// data: see [Layout]. A job is a row; its number of
// attempts is a column; a reservation is the time in reserved_at, which ends
// RetryAfter later. Rows come out by id. A released job becomes a new row
// behind the others; an expired one is taken again in its place. Where many
// delayed jobs fall due at once, more than a window of about a thousand, they
// come out in the order of their times rather than of their ids.
//
// A reservation is fenced by the row's id and attempts, so a late worker can't
// settle a job that another took since.
//
// The package imports no database SDK: the packages under sqldb open the
// database.
package sqlqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/sqldb"
)

// MaxBody is the largest body in bytes that Push accepts; on MySQL and MariaDB
// the server's max_allowed_packet less 1 KiB, if that is smaller.
const MaxBody = 16 << 20

// Bounds of one round trip, and the longest lease renewal: the other fleet's
// retry_after may be shorter than ours.
const (
	maxBatch   = 1000
	longestRun = 15 * time.Second // of a statement that moves jobs
	maxRenew   = 15 * time.Second
)

// Options of a connection.
type Options struct {
	// Table is the name of the jobs table, prefix included. Default: "jobs".
	Table string
	// Workers is the name of the table with the records of workers, prefix
	// included. Without the table there are none. Default: "spool_workers" in the
	// schema of Table.
	Workers string
	// Layout is what the table holds; nil means [Laravel].
	Layout *Layout
	// RetryAfter is how long a reservation lasts unless it is extended,
	// rounded up to seconds; at least driver.MinLease. All workers of a table
	// should agree on it. Default: driver.DefaultLease.
	RetryAfter time.Duration
	// KeepExpired leaves expired reservations alone (retry_after null): only
	// Rescue hands them out again. Default: Reserve takes them.
	KeepExpired bool
}

// Conn is a connection to one jobs table. It is safe for concurrent use.
type Conn struct {
	db      *sqldb.DB
	table   string
	workers string
	lease   int64 // seconds
	keep    bool
	texts   *texts
	flow    flow
	traits  func(ctx context.Context) (driver.Traits, error)

	mu     sync.Mutex
	queues map[string]*activity

	done  chan struct{}
	close sync.Once
}

var (
	_ driver.Conn        = (*Conn)(nil)
	_ driver.Waiter      = (*Conn)(nil)
	_ driver.Extender    = (*Conn)(nil)
	_ driver.Returner    = (*Conn)(nil)
	_ driver.Sizer       = (*Conn)(nil)
	_ driver.Lister      = (*Conn)(nil)
	_ driver.QueueLister = (*Conn)(nil)
	_ driver.Clearer     = (*Conn)(nil)
	_ driver.Rescuer     = (*Conn)(nil)
	_ driver.TxPusher    = (*Conn)(nil)
	_ driver.TxDeleter   = (*Conn)(nil)
	_ driver.Pinger      = (*Conn)(nil)
	_ driver.Selector    = (*Conn)(nil)
)

// New returns a connection to a jobs table of db. It doesn't touch the
// database. Close leaves db open: it belongs to the caller.
func New(db *sqldb.DB, opts *Options) (*Conn, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Table == "" {
		o.Table = "jobs"
	}
	if o.RetryAfter == 0 {
		o.RetryAfter = driver.DefaultLease
	}
	if o.RetryAfter < driver.MinLease {
		return nil, fmt.Errorf("sqlqueue: retry_after of %v is too short: a lease of less than %v could not be renewed in time", o.RetryAfter, driver.MinLease)
	}
	if o.Workers == "" {
		o.Workers = strings.TrimSuffix(o.Table, bare(o.Table)) + "spool_workers"
	}
	c := &Conn{
		db: db, table: o.Table, workers: o.Workers, keep: o.KeepExpired,
		lease:  seconds(driver.RoundUp(o.RetryAfter, time.Second)),
		queues: map[string]*activity{},
		done:   make(chan struct{}),
	}
	lease := time.Duration(c.lease) * time.Second
	t := driver.Traits{
		Driver: db.Dialect().Name, MaxBody: MaxBody, TextOnly: true,
		Lease: lease, Renew: min(lease/3, maxRenew), Resolution: time.Second,
	}
	c.traits = func(context.Context) (driver.Traits, error) { return t, nil }
	layout := Laravel()
	if o.Layout != nil {
		layout = *o.Layout
	}
	texts := newTexts(db.Dialect(), &layout, o.Table)
	c.texts = texts
	switch db.Dialect().Name {
	case sqldb.SQLite:
		t.TextOnly = false
		c.flow = newSQLiteFlow(db, texts)
	case sqldb.MySQL:
		m := &mysqlFlow{db: db, texts: texts, table: o.Table}
		c.flow = m
		c.traits = func(ctx context.Context) (driver.Traits, error) {
			f, err := m.facts(ctx)
			t := t
			t.MaxBody = f.maxBody
			return t, err
		}
	case sqldb.Postgres:
		c.flow = newPgsqlFlow(db, texts)
	default:
		return nil, fmt.Errorf("sqlqueue: the dialect %q is not known", db.Dialect().Name)
	}
	return c, nil
}

// flow is how a dialect moves jobs, in its best statements.
type flow interface {
	// insert stores rows and returns the ids of the accepted prefix.
	insert(ctx context.Context, queue string, rows []row) ([]string, error)
	// reserve takes up to max jobs that are available at now, or were reserved
	// at expired or before, sorted by id.
	reserve(ctx context.Context, queue string, now, expired int64, max int) ([]taken, error)
	// claim is reserve among these jobs.
	claim(ctx context.Context, ids []int64, now, expired int64, max int) ([]taken, error)
	// settle applies the change to the reservations that still stand and says
	// which they were.
	settle(ctx context.Context, ch change, items []fence) ([]bool, error)
	// settleIn is settle of one item inside a transaction.
	settleIn(ctx context.Context, q sqldb.Querier, ch change, item fence) (bool, error)
}

// row is a job to be stored. Times are unix seconds.
type row struct {
	available, created int64
	body               []byte
}

// taken is a row as reserve returns it. full says that its attempts can't be
// counted further, so that they no longer tell one delivery from the next.
type taken struct {
	id, attempts int64
	body         []byte
	full         bool
}

// Traits returns the fixed facts of the connection. On MySQL the first call
// asks the server for its limits; while it can't be reached, MaxBody is 1 MiB.
func (c *Conn) Traits() driver.Traits {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	t, _ := c.traits(ctx)
	return t
}

// Close ends waits and refuses further calls. The database stays open, and
// reservations stay until they expire.
func (c *Conn) Close() error {
	c.close.Do(func() { close(c.done) })
	return nil
}

// Ping checks that the database answers and has the jobs table.
func (c *Conn) Ping(ctx context.Context) error {
	if c.closed() {
		return driver.ErrClosed
	}
	if _, err := c.traits(ctx); err != nil {
		return c.explain(err)
	}
	rows, err := c.db.SQL().QueryContext(ctx, c.texts.sql("SELECT * FROM {table} WHERE 1 = 0"))
	if err != nil {
		return c.explain(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return checkColumns(&c.texts.layout, c.table, columns)
}

func (c *Conn) closed() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// explain adds to an error of the database how to mend it, where that is known.
func (c *Conn) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sqldb.ErrClosed):
		return driver.ErrClosed
	}
	switch c.db.Fault(err) {
	case sqldb.NoTable:
		if !c.texts.layout.Indexed {
			return fmt.Errorf("table %s is missing: ThinkPHP makes it, with think queue:table and migrate:run, or by the statement in think-queue's README: %w", c.table, err)
		}
		return fmt.Errorf("table %s is missing; `spool migrate` creates it: %w", c.table, err)
	case sqldb.Busy: // a read; writes end in a BusyError
		return fmt.Errorf("another program has kept the database locked for too long: %w", err)
	case sqldb.Full:
		return fmt.Errorf("the disk is full, or the database has reached its size limit; nothing was written: %w", err)
	}
	return err
}

// seconds of a whole duration.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// dueAt is the first whole second that is not before now + delay.
func dueAt(now time.Time, delay time.Duration) int64 {
	if delay <= 0 {
		return now.Unix()
	}
	t := now.Add(delay)
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}
