package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spoolq/spool/sqldb"
)

// files are the files open in this process. They are kept by name because the
// lock of a SQLite file belongs to the process: two writers in it would only
// stand in each other's way.
var files = registry{byName: map[string]*shared{}}

type registry struct {
	mu     sync.Mutex
	byName map[string]*shared
}

// shared is what all handles of one file have in common.
type shared struct {
	opts    Options
	pool    *sql.DB
	writer  *sqldb.Writer
	signals *sqldb.Signals
	handles int
}

func (r *registry) open(file string, o Options) (*sqldb.DB, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.byName[file]
	if s == nil {
		var err error
		if s, err = start(file, o); err != nil {
			return nil, err
		}
		r.byName[file] = s
	} else if s.opts != o {
		return nil, fmt.Errorf("sqlite: %s is open in this process with other options (%+v, not %+v)", file, s.opts, o)
	}
	s.handles++
	return sqldb.New(s.pool, sqldb.NewSQLite(), &sqldb.Options{
		Writer: s.writer, Signals: s.signals, Classify: classify,
		Close: func() error { return r.close(file, s) },
	}), nil
}

func (r *registry) close(file string, s *shared) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.handles--; s.handles > 0 {
		return nil
	}
	delete(r.byName, file)
	return errors.Join(s.writer.Close(), s.pool.Close())
}

// start opens the pools and sets the journal mode.
func start(file string, o Options) (*shared, error) {
	readers, err := pool(file, o, o.Wait)
	if err != nil {
		return nil, err
	}
	readers.SetMaxOpenConns(o.Readers)
	readers.SetMaxIdleConns(o.Readers)
	writing, err := pool(file, o, 0) // the writer waits for locks by itself
	if err != nil {
		return nil, errors.Join(err, readers.Close())
	}
	writing.SetMaxOpenConns(1)
	s := &shared{opts: o, pool: readers, signals: sqldb.NewSignals(), writer: sqldb.NewWriter(writing, sqldb.WriterOptions{
		File: file, Wait: o.Wait, Busy: func(err error) bool { return classify(err) == sqldb.Busy },
	})}
	if err := prepare(readers, file, o); err != nil {
		return nil, errors.Join(err, s.writer.Close(), readers.Close())
	}
	return s, nil
}

// prepare checks that the file can be used and gives it the mode asked for, or
// a new one WAL.
// Another process may do the same at the same moment, which a busy timeout
// does not cover.
func prepare(db *sql.DB, file string, o Options) error {
	query, want := "PRAGMA journal_mode", o.Journal
	if want == "" && isNew(file) {
		want = WAL
	}
	if want != "" {
		query += " = " + string(want)
	}
	ctx := context.Background()
	for deadline := time.Now().Add(o.Wait); ; time.Sleep(5 * time.Millisecond) {
		var mode string
		err := db.QueryRowContext(ctx, query).Scan(&mode)
		if err == nil {
			var n int
			err = db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&n)
		}
		switch {
		case err == nil && o.Journal != "" && mode != string(o.Journal):
			return fmt.Errorf("sqlite: %s stays in journal mode %s: SQLite can't switch it to %s there", file, mode, o.Journal)
		case err == nil:
			return nil
		case classify(err) == sqldb.Busy && time.Now().Before(deadline):
			continue
		case classify(err) == sqldb.Busy:
			return &sqldb.BusyError{File: file, Wait: o.Wait.String(), Err: err}
		}
		return fmt.Errorf("sqlite: opening %s: %w", file, err)
	}
}
