package spool

import (
	"context"
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

// LaravelKeys are the keys of Laravel 8 to 13.
func LaravelKeys() Keys {
	return Keys{
		Restart:     "illuminate:queue:restart",
		Maintenance: "illuminate:foundation:down",
		PausedAll:   "illuminate:queues:paused",
		Paused: func(connection, queue string) string {
			return "illuminate:queue:paused:" + connection + ":" + queue
		},
		Exceptions: func(uuid string) string { return "job-exceptions:" + uuid },
	}
}
