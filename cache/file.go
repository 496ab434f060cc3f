package cache

import (
	"context"
	"crypto/sha1" //nolint:gosec // as below
	"encoding/hex"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"
)

// File is the file store of Laravel ([NewFile]) or of ThinkPHP ([NewThinkFile]):
// every key is a file of its own. There is no cache prefix.
//
// Files are changed in place under flock, the way Laravel does it, and not by
// renaming a new one over them: a PHP process that waits for the lock of the
// old file would write into a file that no longer has a name. Readers take a
// shared lock and never see half a value; what a crash leaves half-written
// counts as absent. As within Laravel, a lock taken by PHP in the very moment in
// which its expired or released file is removed may be lost.
type File struct {
	form
	dir, lockDir, lockPrefix string
	mode                     fs.FileMode
}

// form is what a framework's file store calls its files and writes into them.
type form interface {
	// file returns the path of a key below the store's folder.
	file(key string) string
	// parse reads what was written at the time modified.
	parse(b []byte, modified time.Time) content
	// render returns what a file holds; expires is neverExpires or the second
	// from which on the value is absent.
	render(value any, expires int64) ([]byte, error)
}

// FileOptions are the settings of Laravel's file store.
type FileOptions struct {
	// LockDir is where locks are kept (Laravel 10's lock_path); "" means beside
	// the values.
	LockDir string
	// LockPrefix is put before the names of locks: "" in Laravel 8 to 12,
	// "file-store-lock:" in Laravel 13.
	LockPrefix string
	// Mode is set on files and new directories (Laravel's permission); 0 leaves
	// them to the umask.
	Mode fs.FileMode
}

var (
	_ Store  = (*File)(nil)
	_ Locker = (*File)(nil)
)

// NewFile returns Laravel's store in dir, which is made when the first value is
// written. An application keeps it in storage/framework/cache/data. A path is
// made of the SHA-1 of the key; a file holds the second it expires, in ten
// digits, followed by the PHP-serialized value.
func NewFile(dir string, o *FileOptions) *File {
	if o == nil {
		o = &FileOptions{}
	}
	s := &File{form: laravelForm{}, dir: dir, lockDir: o.LockDir, lockPrefix: o.LockPrefix, mode: o.Mode}
	if s.lockDir == "" {
		s.lockDir = dir
	}
	return s
}

// neverExpires is what Laravel writes for values that are kept for ever.
const neverExpires = 9999999999

// content is what a file says.
type content struct {
	expires int64
	text    string
	present bool
}

// laravelForm is what Laravel's file store writes.
type laravelForm struct{}

// file is aa/bb/aabb…, the SHA-1 of the key in hexadecimal.
func (laravelForm) file(key string) string {
	sum := sha1.Sum([]byte(key)) //nolint:gosec // Laravel's file names, not security
	name := hex.EncodeToString(sum[:])
	return filepath.Join(name[:2], name[2:4], name)
}

func (laravelForm) parse(b []byte, _ time.Time) content {
	if len(b) < 10 {
		return content{}
	}
	expires, err := strconv.ParseInt(string(b[:10]), 10, 64)
	if err != nil || time.Now().Unix() >= expires {
		return content{}
	}
	text, ok := Unserialize(string(b[10:]))
	return content{expires: expires, text: text, present: ok}
}

func (laravelForm) render(value any, expires int64) ([]byte, error) {
	text, err := Serialize(value)
	return fmt.Appendf(nil, "%010d%s", expires, text), err
}

// action is what a change wants done with the file.
type action int

const (
	keep action = iota
	write
	remove
)

// Many implements [Store]. It reads one file a key.
func (s *File) Many(ctx context.Context, keys ...string) (map[string]string, error) {
	found := make(map[string]string, len(keys))
	for _, key := range keys {
		c, err := s.read(ctx, s.path(s.dir, key))
		if err != nil {
			return nil, err
		}
		if c.present {
			found[key] = c.text
		}
	}
	return found, nil
}

// Put implements [Store].
func (s *File) Put(ctx context.Context, key string, value any, ttl time.Duration) error {
	fresh, err := s.fresh(value, ttl)
	if err != nil {
		return err
	}
	return s.change(ctx, s.path(s.dir, key), true, func(content) (action, []byte, error) {
		return write, fresh, nil
	})
}

// Add implements [Store].
func (s *File) Add(ctx context.Context, key string, value any, ttl time.Duration) (added bool, err error) {
	fresh, err := s.fresh(value, ttl)
	if err != nil {
		return false, err
	}
	err = s.change(ctx, s.path(s.dir, key), true, func(old content) (action, []byte, error) {
		if old.present {
			return keep, nil, nil
		}
		added = true
		return write, fresh, nil
	})
	return added && err == nil, err
}

// Increment implements [Store].
func (s *File) Increment(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	fresh, err := s.fresh(by, ttl)
	if err != nil {
		return 0, err
	}
	sum := by
	err = s.change(ctx, s.path(s.dir, key), true, func(old content) (action, []byte, error) {
		if !old.present {
			return write, fresh, nil
		}
		if sum, err = Sum(key, old.text, by); err != nil {
			return keep, nil, err
		}
		b, err := s.render(sum, old.expires)
		return write, b, err
	})
	if err != nil {
		return 0, err
	}
	return sum, nil
}

// Forget implements [Store].
func (s *File) Forget(ctx context.Context, key string) error {
	return s.change(ctx, s.path(s.dir, key), false, func(content) (action, []byte, error) {
		return remove, nil, nil
	})
}

// Acquire implements [Locker].
func (s *File) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (acquired bool, err error) {
	fresh, err := s.fresh(owner, ttl)
	if err != nil {
		return false, err
	}
	err = s.change(ctx, s.lockPath(name), true, func(old content) (action, []byte, error) {
		if old.present && old.text != owner {
			return keep, nil, nil
		}
		acquired = true
		return write, fresh, nil
	})
	return acquired && err == nil, err
}

// Release implements [Locker].
func (s *File) Release(ctx context.Context, name, owner string) (released bool, err error) {
	err = s.change(ctx, s.lockPath(name), false, func(old content) (action, []byte, error) {
		if !old.present || old.text != owner {
			return keep, nil, nil
		}
		released = true
		return remove, nil, nil
	})
	return released && err == nil, err
}

// ForceRelease implements [Locker].
func (s *File) ForceRelease(ctx context.Context, name string) error {
	return s.change(ctx, s.lockPath(name), false, func(content) (action, []byte, error) {
		return remove, nil, nil
	})
}

// Owner implements [Locker].
func (s *File) Owner(ctx context.Context, name string) (string, error) {
	c, err := s.read(ctx, s.lockPath(name))
	return c.text, err
}

func (s *File) lockPath(name string) string { return s.path(s.lockDir, s.lockPrefix+name) }

func (s *File) path(dir, key string) string { return filepath.Join(dir, s.file(key)) }

// fresh is what a file holds for a value that is new.
func (s *File) fresh(value any, ttl time.Duration) ([]byte, error) {
	seconds, err := Seconds(ttl)
	if err != nil {
		return nil, err
	}
	expires := int64(neverExpires)
	if seconds > 0 {
		expires = min(time.Now().Unix()+seconds, neverExpires)
	}
	return s.render(value, expires)
}
