package cache

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spoolq/spool/internal/flock"
)

func (s *File) read(ctx context.Context, path string) (content, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return content{}, nil
	}
	if err != nil {
		return content{}, err
	}
	defer f.Close()
	if err := flock.Lock(ctx, f, false); err != nil {
		return content{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return content{}, err
	}
	b, err := io.ReadAll(f)
	return s.parse(b, info.ModTime()), err
}

// change runs fn with what the file says, alone among all processes, and does
// what it answers. Without create a file that isn't there is left so.
func (s *File) change(ctx context.Context, path string, create bool, fn func(old content) (action, []byte, error)) error {
	for {
		f, err := s.open(path, create)
		if err != nil || f == nil {
			return err
		}
		done, err := s.changeOpen(ctx, f, fn)
		err = errors.Join(err, f.Close())
		if done || err != nil {
			return err
		}
	}
}

// open opens the file for a change; nil if it isn't there and shall not be.
func (s *File) open(path string, create bool) (*os.File, error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(path, flags, 0o666)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if !create {
		return nil, nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	if s.mode != 0 {
		// Best effort: a directory of another user can't be changed.
		_, _ = os.Chmod(dir, s.mode), os.Chmod(filepath.Dir(dir), s.mode)
	}
	return os.OpenFile(path, flags, 0o666)
}

// changeOpen is change on the open file; done is false if it lost its name
// before the lock was ours, so that the change has to start over.
func (s *File) changeOpen(ctx context.Context, f *os.File, fn func(old content) (action, []byte, error)) (done bool, err error) {
	if err := flock.Lock(ctx, f, true); err != nil {
		return false, err
	}
	ours, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(f.Name())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(ours, named) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return false, err
	}
	do, fresh, err := fn(s.parse(b, ours.ModTime()))
	if err != nil || do == keep {
		return true, err
	}
	// An empty file is an absent key, to Laravel too: from here on a crash, or
	// a system that can't remove an open file, leaves no half-truth.
	if err := f.Truncate(0); err != nil {
		return true, err
	}
	if do == remove {
		_ = os.Remove(f.Name())
		return true, nil
	}
	if _, err := f.WriteAt(fresh, 0); err != nil {
		return true, err
	}
	if s.mode != 0 && ours.Mode().Perm() != s.mode {
		_ = f.Chmod(s.mode) // best effort, as for directories
	}
	return true, nil
}
