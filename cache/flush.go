package cache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"unicode/utf8"
)

// Flusher is implemented by stores that can be emptied.
type Flusher interface {
	// Flush removes every value under the store's prefix, whoever wrote it, and
	// the locks that are kept among them. Values that are written meanwhile may
	// stay. Laravel's flush takes what is under other prefixes too: on SQL the
	// whole table, on Redis the whole database.
	Flush(ctx context.Context) error
}

var (
	_ Flusher = (*Memory)(nil)
	_ Flusher = (*File)(nil)
	_ Flusher = (*SQL)(nil)
)

// Flush implements [Flusher].
func (m *Memory) Flush(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values = newTable()
	return nil
}

// Flush implements [Flusher], for Laravel's store: it removes the folders that
// keys are spread over, and nothing else that is in the store's folder.
func (s *File) Flush(ctx context.Context) error {
	if _, ok := s.form.(laravelForm); !ok {
		return errors.ErrUnsupported
	}
	folders, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, f := range folders {
		if ok, _ := filepath.Match("[0-9a-f][0-9a-f]", f.Name()); !ok || !f.IsDir() {
			continue
		}
		if err := errors.Join(ctx.Err(), os.RemoveAll(filepath.Join(s.dir, f.Name()))); err != nil {
			return err
		}
	}
	return err
}

// Flush implements [Flusher].
func (s *SQL) Flush(ctx context.Context) error {
	d := s.values.Dialect()
	q := "DELETE FROM " + d.Ident(s.table)
	if s.prefix == "" {
		_, err := exec(ctx, s.values, q)
		return err
	}
	_, err := exec(ctx, s.values, d.Rebind(q+" WHERE substr("+d.Ident("key")+", 1, ?) = ?"), utf8.RuneCountInString(s.prefix), s.prefix)
	return err
}
