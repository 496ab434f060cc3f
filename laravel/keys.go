package laravel

import (
	"encoding/hex"

	"github.com/zeebo/xxh3"

	"github.com/spoolq/spool"
)

var _ spool.KeyNamer = (*Format)(nil)

// Keys implements [spool.KeyNamer]: the names of locks and counters as the
// format's version of Laravel makes them. Their sources are the framework's
// UniqueLock, WithoutOverlapping and ThrottlesExceptions:
//
//   - the lock of a unique job is "laravel_unique_job:", the class and the id,
//     with a colon between them since Laravel 11;
//   - since 12 a class whose display name is its own (a displayName method) goes
//     by the xxh128 hash of that name;
//   - exceptions are counted by the md5 of the class, since 12 by the xxh128 of
//     its display name.
func (f *Format) Keys() spool.Keys {
	k := spool.LaravelKeys()
	k.Unique = func(class, display, id string) string {
		if f.version < 11 {
			return spool.UniquePrefix + class + id
		}
		return spool.UniquePrefix + f.class(class, display) + ":" + id
	}
	k.Overlap = func(class, display, key string) string {
		return spool.OverlapPrefix + f.class(class, display) + ":" + key
	}
	k.Debounced = func(class, display, id string) string {
		return spool.DebouncePrefix + f.class(class, display) + ":" + id
	}
	if f.version >= 12 {
		k.Throttled = func(class, display string) string {
			if display == "" {
				display = class
			}
			return spool.ThrottlesPrefix + hash(display)
		}
	}
	return k
}

// class is what a class goes by in the name of a lock.
func (f *Format) class(class, display string) string {
	if f.version < 12 || display == "" || display == class {
		return class
	}
	return hash(display)
}

// hash is PHP's hash('xxh128', s).
func hash(s string) string {
	sum := xxh3.HashString128(s).Bytes()
	return hex.EncodeToString(sum[:])
}
