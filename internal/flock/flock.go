// Package flock locks files against other processes, PHP's among them: PHP's
// flock() takes the same kind of lock. The file stores of the cache and of
// failed jobs share it.
package flock

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Lock takes a lock on the open file and waits for it until ctx is done. A
// shared lock keeps out exclusive ones, an exclusive lock all others. It ends
// with [Unlock] or when the file is closed. Two files opened separately lock
// against each other within one process too.
func Lock(ctx context.Context, f *os.File, exclusive bool) error {
	// Waiting in the kernel could not be cancelled.
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, 20*time.Millisecond) {
		locked, err := try(f, exclusive)
		if err != nil {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		if locked {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lock %s, which another process holds: %w", f.Name(), context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

// Unlock gives the lock back.
func Unlock(f *os.File) error { return unlock(f) }
