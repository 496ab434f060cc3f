// Package sqlite opens SQLite files as databases for Spool's tables, with
// modernc.org/sqlite, which needs no C compiler.
package sqlite

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spoolq/spool/sqldb"
	"modernc.org/sqlite"
)

// Synchronous says what a commit has survived when it returns.
type Synchronous string

// The modes.
const (
	// Extra is Full that also flushes the folder when a rollback journal is
	// deleted. In WAL mode it is the same.
	Extra Synchronous = "extra"
	// Full: a committed job survives a power cut.
	Full Synchronous = "full"
	// Normal: a committed job survives a crash of the process, but a power cut
	// or a crash of the operating system may take back the last commits (jobs
	// pushed are gone, jobs deleted run again). The file stays sound in WAL
	// mode. Single pushes are several times faster.
	Normal Synchronous = "normal"
	// Off: what Normal says, and a power cut or a crash of the operating system
	// may damage the file.
	Off Synchronous = "off"
)

// Journal is how a file is kept whole when a process dies in the middle of a
// write. SQLite's modes memory and off are left out: under them that damages
// the file.
type Journal string

// The modes.
const (
	// WAL is write-ahead logging: readers and the writer don't wait for each
	// other. The file keeps it. It needs shared memory: not on a network drive.
	WAL Journal = "wal"
	// Delete, Truncate and Persist are a rollback journal, and what becomes of
	// it at each commit. The file keeps that it isn't WAL; which of them it is,
	// each connection says.
	Delete   Journal = "delete"
	Truncate Journal = "truncate"
	Persist  Journal = "persist"
)

// Options of a file. All handles of one file in a process must agree on them.
type Options struct {
	// Synchronous is Extra, Full, Normal or Off. Default: Full.
	Synchronous Synchronous
	// Journal switches the file to this mode, for which no other program may
	// have it open. Default: a new file gets WAL, an existing one keeps its own.
	Journal Journal
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
	f.Synchronous = Synchronous(strings.ToLower(string(f.Synchronous)))
	if !slices.Contains([]Synchronous{Extra, Full, Normal, Off}, f.Synchronous) {
		return f, fmt.Errorf("sqlite: synchronous is %q; it must be extra, full, normal or off", f.Synchronous)
	}
	f.Journal = Journal(strings.ToLower(string(f.Journal)))
	if !slices.Contains([]Journal{"", WAL, Delete, Truncate, Persist}, f.Journal) {
		return f, fmt.Errorf("sqlite: journal mode is %q; it must be wal, delete, truncate or persist", f.Journal)
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
		return "", fmt.Errorf("sqlite: the folder of the database file: %w; make it, or name another file (DB_DATABASE)", err)
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// pool opens connections with these pragmas. Nothing is read yet.
func pool(file string, o Options, wait time.Duration) (*sql.DB, error) {
	q := url.Values{}
	q.Set("_txlock", "immediate")
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", wait.Milliseconds()))
	q.Add("_pragma", fmt.Sprintf("synchronous(%s)", o.Synchronous))
	if o.Journal == Truncate || o.Journal == Persist {
		q.Add("_pragma", fmt.Sprintf("journal_mode(%s)", o.Journal)) // each connection's own
	}
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
