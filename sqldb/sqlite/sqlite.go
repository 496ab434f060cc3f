// Package sqlite opens SQLite files as databases for Spool's tables, with
// modernc.org/sqlite, which needs no C compiler.
package sqlite

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spoolq/spool/sqldb"
	"modernc.org/sqlite"
)

// Synchronous says what a commit has survived when it returns.
type Synchronous string

// The two modes worth having.
const (
	// Full: a committed job survives a power cut.
	Full Synchronous = "full"
	// Normal: a committed job survives a crash of the process, but a power cut
	// or a crash of the operating system may take back the last commits (jobs
	// pushed are gone, jobs deleted run again). The file stays sound in WAL
	// mode. Single pushes are several times faster.
	Normal Synchronous = "normal"
)

// Options of a file. All handles of one file in a process must agree on them.
type Options struct {
	// Synchronous is Full or Normal. Default: Full.
	Synchronous Synchronous
	// WAL switches an existing file to write-ahead logging, which lasts. A new
	// file gets it anyway; by default an existing file keeps its mode.
	WAL bool
	// Wait is how long another program may hold the file's lock before a
	// *sqldb.BusyError is returned. Default: 30 s.
	Wait time.Duration
	// Readers is the largest number of reading connections. Default: 4.
	Readers int
}

func (o *Options) filled() (Options, error) {
	var f Options
	if o != nil {
		f = *o
	}
	if f.Synchronous == "" {
		f.Synchronous = Full
	}
	if f.Synchronous = Synchronous(strings.ToLower(string(f.Synchronous))); f.Synchronous != Full && f.Synchronous != Normal {
		return f, fmt.Errorf("sqlite: synchronous is %q; it must be %q or %q", f.Synchronous, Full, Normal)
	}
	if f.Wait <= 0 {
		f.Wait = 30 * time.Second
	}
	if f.Readers <= 0 {
		f.Readers = 4
	}
	return f, nil
}

// Open opens the file at path, and creates it (not its folder) if it is
// missing. All handles of one file in a process share the pool, the one writer
// and the wake-ups; the last Close closes them. Opening it again with other
// options is an error.
//
// A transaction begun on DB.SQL takes the write lock at once, unless it is
// read-only.
func Open(path string, opts *Options) (*sqldb.DB, error) {
	o, err := opts.filled()
	if err != nil {
		return nil, err
	}
	file, err := resolve(path)
	if err != nil {
		return nil, err
	}
	return files.open(file, o)
}

// resolve returns the one name of a file, whether or not it exists yet.
func resolve(path string) (string, error) {
	switch {
	case path == "":
		return "", fmt.Errorf("sqlite: the path of the database file is empty")
	case path == ":memory:" || strings.HasPrefix(path, "file:"):
		return "", fmt.Errorf("sqlite: %q is not a file; give the path of one, or use the memory driver", path)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", fmt.Errorf("sqlite: the folder of the database file: %w", err)
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// pool opens connections with these pragmas. Nothing is read yet.
func pool(file string, o Options, wait time.Duration) (*sql.DB, error) {
	q := url.Values{}
	q.Set("_txlock", "immediate")
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", wait.Milliseconds()))
	q.Add("_pragma", fmt.Sprintf("synchronous(%s)", o.Synchronous))
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: q.Encode()}
	c, err := sqlite.NewConnector(u.String())
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	return sql.OpenDB(c), nil
}

// isNew says that the file holds nothing yet.
func isNew(file string) bool {
	fi, err := os.Stat(file)
	return err != nil || fi.Size() == 0
}
