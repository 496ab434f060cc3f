package cache

import (
	"context"
	"math/rand/v2"
	"time"
)

// AnyLocker is implemented by stores that find a free lock of several in one
// round trip.
type AnyLocker interface {
	// AcquireAny takes the first of the locks that is free for owner, and returns
	// its index; -1 if none is.
	AcquireAny(ctx context.Context, names []string, owner string, ttl time.Duration) (int, error)
}

// AcquireAny takes a free lock of several for owner and returns its index; -1 if
// none is free. Where the store isn't an [AnyLocker] it tries one after the
// other, beginning anywhere. After an error one of them may be taken, until its
// time ends.
func AcquireAny(ctx context.Context, l Locker, names []string, owner string, ttl time.Duration) (int, error) {
	if len(names) == 0 {
		return -1, nil
	}
	if a, ok := l.(AnyLocker); ok {
		return a.AcquireAny(ctx, names, owner, ttl)
	}
	first := rand.IntN(len(names)) // so that not all try the same ones first
	for n := range names {
		i := (first + n) % len(names)
		if ok, err := l.Acquire(ctx, names[i], owner, ttl); ok || err != nil {
			if err != nil {
				i = -1
			}
			return i, err
		}
	}
	return -1, nil
}
