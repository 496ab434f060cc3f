// Package cache is Laravel's cache as far as a queue needs it: the restart
// and pause signals, counters of exceptions and of rate limiters, and locks.
//
// A store writes the bytes that Laravel's store of the same kind writes, under
// the same keys, so that PHP and Go processes see each other's signals and
// respect each other's locks. [Memory], [File] and [SQL] live here; the Redis
// store is package cache/rediscache. Package cache/cachetest holds the suite
// that all of them pass.
//
// The package imports the standard library, sqldb, PHP's serialization and the
// lock helper of the file stores, no database SDK.
package cache

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Store keeps small values under string keys, each with a time to live.
//
// The store adds the cache prefix to keys; callers never see it. Values may be
// a string, a bool or any integer type; other types are refused with an error.
//
// A ttl is rounded up to whole seconds, the unit of every Laravel store; 0
// means for ever and less than 0 is an error, because a value that has expired
// before it is written is a mistake of the caller. An expired value is absent.
//
// All methods are safe for concurrent use, by other processes too, and return
// the backend's errors as they are.
type Store interface {
	// Many returns the values of those keys that are present, as text:
	// integers in decimal, true as "1" and false as "", strings as they are. A
	// value of any other PHP type (an array, say, written by an application) is
	// returned as the stored text, and PHP's null counts as absent. It reads all
	// keys in one round trip where the backend has a way to.
	Many(ctx context.Context, keys ...string) (map[string]string, error)

	// Put stores the value, replacing one that is there.
	Put(ctx context.Context, key string, value any, ttl time.Duration) error

	// Add stores the value if the key is absent and says whether it did. Of
	// several callers at the same time exactly one gets true.
	Add(ctx context.Context, key string, value any, ttl time.Duration) (bool, error)

	// Increment adds by (which may be negative) to the integer stored under key
	// and returns the sum. An absent key starts from 0 and gets the ttl; one
	// that is present keeps the time to live it has. A value that is not an
	// integer, or a sum beyond 64 bits, is an error and changes nothing. No
	// increment is lost among concurrent callers.
	Increment(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error)

	// Forget removes the key. An absent key is not an error.
	Forget(ctx context.Context, key string) error
}

// Locker is the lock side of a store: Laravel's Cache::lock. A lock has a
// name and an owner, a text that its holder made up (Laravel: 16 random
// characters) and that proves the right to release it.
type Locker interface {
	// Acquire takes the lock for owner and says whether it has it now. The
	// owner that holds it already gets true, and its time starts again, so that
	// an Acquire whose answer was lost can be repeated. ttl as in [Store]; with 0
	// the lock lasts until it is released, on SQL stores a day (as in Laravel).
	Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error)

	// Release gives the lock back if owner still holds it and says whether it
	// did. The lock of somebody else is never touched.
	Release(ctx context.Context, name, owner string) (bool, error)

	// ForceRelease frees the lock whoever holds it.
	ForceRelease(ctx context.Context, name string) error

	// Owner returns who holds the lock, "" when it is free.
	Owner(ctx context.Context, name string) (string, error)
}

// Seconds returns a ttl in the unit of the stores: whole seconds, rounded up;
// 0 stays 0 (for ever). A negative ttl is an error.
func Seconds(ttl time.Duration) (int64, error) {
	if ttl < 0 {
		return 0, fmt.Errorf("cache: ttl of %v is in the past: pass the time that is left, or 0 for ever", ttl)
	}
	return int64((ttl + time.Second - 1) / time.Second), nil
}

// NotIntegerError says that [Store.Increment] met a value it can't add to.
type NotIntegerError struct {
	Key  string
	Text string // the value as Many returns it
}

func (e *NotIntegerError) Error() string {
	return fmt.Sprintf("cache key %q holds %.40q, which is not an integer that can be incremented: forget the key first", e.Key, e.Text)
}

// Sum adds by to the integer that text holds: what [Store.Increment] does with
// a value it has read. The error is a [*NotIntegerError].
func Sum(key, text string, by int64) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, &NotIntegerError{Key: key, Text: text}
	}
	sum := n + by
	if (sum > n) != (by > 0) && by != 0 {
		return 0, fmt.Errorf("cache key %q: %d%+d is beyond 64 bits", key, n, by)
	}
	return sum, nil
}
