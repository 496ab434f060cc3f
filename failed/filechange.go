package failed

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spoolq/spool/internal/flock"
)

// patience is how long a file that PHP is just writing, without a lock, may
// be unreadable.
const patience = time.Second

// read returns the records of the file, the newest first.
func (s *File) read(ctx context.Context) ([]item, error) {
	for end := time.Now().Add(patience); ; {
		b, err := os.ReadFile(s.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		items, err := decode(b)
		if err == nil {
			return items, nil
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("%s is not a JSON array of failed jobs (mend it or move it away): %w", s.path, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func decode(b []byte) ([]item, error) {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, nil
	}
	var raws []json.RawMessage
	if err := json.Unmarshal(b, &raws); err != nil {
		return nil, err
	}
	items := make([]item, len(raws))
	for i, raw := range raws {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if err := dec.Decode(&items[i]); err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		items[i].raw = raw
	}
	return items, nil
}

// change replaces the records by what fn makes of them, alone among all
// processes.
func (s *File) change(ctx context.Context, fn func([]item) []item) (err error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o777); err != nil {
		return err
	}
	guard, err := os.OpenFile(s.path+".lock", os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, guard.Close()) }()
	if err := flock.Lock(ctx, guard, true); err != nil {
		return err
	}
	release, err := s.keepPHPOut(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	items, err := s.read(ctx)
	if err != nil {
		return err
	}
	n := len(items)
	fresh := fn(items)
	if n == 0 && len(fresh) == 0 {
		return nil // nothing was there to be forgotten
	}
	return s.replace(fresh)
}

// Laravel's lock around a change of the file, how long it lasts, and how long
// one waits for it.
const (
	phpLock     = "laravel-failed-jobs"
	phpLockTime = 5 * time.Second
	phpLockWait = 10 * time.Second
)

// keepPHPOut takes Laravel's lock, if there is a store to take it in.
func (s *File) keepPHPOut(ctx context.Context) (release func() error, err error) {
	if s.lock == nil {
		return func() error { return nil }, nil
	}
	owner := rand.Text()[:16]
	ctx, cancel := context.WithTimeout(ctx, phpLockWait)
	defer cancel()
	for {
		ok, err := s.lock.Acquire(ctx, phpLock, owner, phpLockTime)
		if err != nil {
			return nil, err
		}
		if ok {
			return func() error {
				_, err := s.lock.Release(context.WithoutCancel(ctx), phpLock, owner)
				return err
			}, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the cache lock %s: %w", phpLock, ctx.Err())
		case <-time.After(25 * time.Millisecond):
		}
	}
}
