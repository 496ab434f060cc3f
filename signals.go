package spool

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"time"
)

// Signals is the store beside the queues in which workers are told to restart
// or pause: Laravel's cache. Package cache has implementations.
type Signals interface {
	// Many returns the values of the keys that exist, as text, in one read.
	Many(ctx context.Context, keys ...string) (map[string]string, error)
	// Put stores a value (string, int64 or bool); a ttl of 0 keeps it for ever.
	Put(ctx context.Context, key string, value any, ttl time.Duration) error
	// Increment adds by to a number, made with ttl if it is absent.
	Increment(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error)
	// Forget removes a key.
	Forget(ctx context.Context, key string) error
}

// Locks is where locks are kept: Laravel's Cache::lock. Package cache has
// implementations, and the contract.
type Locks interface {
	// Acquire takes the lock for owner for ttl and says whether it has it now;
	// the owner's own lock starts its time again.
	Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error)
	// Release gives the lock back if owner still holds it and says whether it did.
	Release(ctx context.Context, name, owner string) (bool, error)
	// ForceRelease frees the lock whoever holds it.
	ForceRelease(ctx context.Context, name string) error
	// Owner returns who holds the lock, "" when it is free.
	Owner(ctx context.Context, name string) (string, error)
}

// Keys are the names under which workers and commands of a framework find
// each other in the cache. The cache's own prefix isn't part of them.
type Keys struct {
	Restart     string // holds the time of the last restart signal
	Maintenance string // exists while the application is down
	PausedAll   string // exists while every queue is paused
	// Paused names the key that exists while a queue is paused.
	Paused func(connection, queue string) string
	// Exceptions names the counter of a job's exceptions.
	Exceptions func(uuid string) string
	// Unique names the lock of a unique job, Overlap that of jobs that must not
	// overlap, Throttled the counter of exceptions of a kind of jobs, Debounced
	// the last one of jobs that are debounced. class is the job's name, and
	// display its display name, which some versions of Laravel use instead.
	Unique    func(class, display, id string) string
	Overlap   func(class, display, key string) string
	Throttled func(class, display string) string
	Debounced func(class, display, id string) string
}

// KeyNamer is implemented by formats of frameworks whose names in the cache are
// not Laravel's.
type KeyNamer interface {
	Keys() Keys
}

// KeysOf returns the names that go with a format: its own, or [LaravelKeys].
func KeysOf(f Format) Keys {
	if k, ok := f.(KeyNamer); ok {
		return k.Keys()
	}
	return LaravelKeys()
}

// The prefixes of Laravel's names of locks and counters.
const (
	UniquePrefix    = "laravel_unique_job:"
	OverlapPrefix   = "laravel-queue-overlap:"
	ThrottlesPrefix = "laravel_throttles_exceptions:"
	DebouncePrefix  = "laravel_debounced_job:"
)

// LaravelKeys are the keys of Laravel 8 to 13. Those of locks and counters are
// for jobs that PHP doesn't lock, such as string jobs; where they are shared
// with PHP they depend on its version, which package laravel knows.
func LaravelKeys() Keys {
	return Keys{
		Restart:     "illuminate:queue:restart",
		Maintenance: "illuminate:foundation:down",
		PausedAll:   "illuminate:queues:paused",
		Paused: func(connection, queue string) string {
			return "illuminate:queue:paused:" + connection + ":" + queue
		},
		Exceptions: func(uuid string) string { return "job-exceptions:" + uuid },
		Unique:     func(class, _, id string) string { return UniquePrefix + class + ":" + id },
		Overlap:    func(class, _, key string) string { return OverlapPrefix + class + ":" + key },
		Throttled: func(class, _ string) string {
			sum := md5.Sum([]byte(class)) //nolint:gosec // Laravel's name, not security
			return ThrottlesPrefix + hex.EncodeToString(sum[:])
		},
		Debounced: func(class, _, id string) string { return DebouncePrefix + class + ":" + id },
	}
}
