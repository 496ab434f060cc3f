package limit

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spoolq/spool/cache"
)

// NewCounter returns the counter that is Laravel's Illuminate\Cache\RateLimiter:
// the count is under the limit's key, and the unix time at which the window ends
// under the key with ":timer" behind it. Letters of keys that HTML has names for
// are replaced as PHP does it, é by e and & by a.
func NewCounter(store cache.Store) Counter { return &counter{store} }

type counter struct{ store cache.Store }

func timer(key string) string { return cleanKey(key) + ":timer" }

// state is what the store says of a limit.
type state struct {
	used int64
	left time.Duration // 0: no window is open
}

func (c *counter) states(ctx context.Context, limits []Limit) ([]state, error) {
	keys := make([]string, 0, 2*len(limits))
	for _, l := range limits {
		keys = append(keys, cleanKey(l.Key), timer(l.Key))
	}
	values, err := c.store.Many(ctx, keys...)
	if err != nil {
		return nil, err
	}
	states := make([]state, len(limits))
	for i, l := range limits {
		states[i].used, _ = strconv.ParseInt(values[cleanKey(l.Key)], 10, 64) // what is no number counts nothing, as in PHP
		if text, open := values[timer(l.Key)]; open {
			until, _ := strconv.ParseInt(text, 10, 64)
			left := time.Until(time.Unix(until, 0))
			// One that should be over, or lasts longer than a window does, is
			// another clock's: the store ends it within a window.
			states[i].left = min(max(left, time.Second), l.window())
		}
	}
	return states, nil
}

// full returns the longest wait of the limits that are used up, and the keys of
// those whose window is over though their count is still there.
func full(limits []Limit, states []state) (wait time.Duration, stale []string) {
	for i, l := range limits {
		switch s := states[i]; {
		case l.Max <= 0:
			wait = max(wait, l.window())
		case s.used < int64(l.Max):
		case s.left > 0:
			wait = max(wait, s.left)
		default:
			stale = append(stale, cleanKey(l.Key))
		}
	}
	return wait, stale
}

// Wait implements [Counter].
func (c *counter) Wait(ctx context.Context, limits ...Limit) (time.Duration, error) {
	states, err := c.states(ctx, limits)
	if err != nil {
		return 0, err
	}
	wait, _ := full(limits, states)
	return wait, nil
}

// Take implements [Counter]. Two that take the last place at once both count,
// and the later one takes its own back: for that moment, and if it crashes
// until the window ends, there is a place less, never one more.
func (c *counter) Take(ctx context.Context, limits ...Limit) (time.Duration, error) {
	states, err := c.states(ctx, limits)
	if err != nil {
		return 0, err
	}
	wait, stale := full(limits, states)
	if wait > 0 {
		return wait, nil
	}
	for _, key := range stale {
		if err := c.store.Forget(ctx, key); err != nil {
			return 0, err
		}
	}
	for i, l := range limits {
		used, err := c.hit(ctx, l)
		if err != nil {
			// Whether it counted is not known: to take back what didn't would make room.
			return 0, errors.Join(err, c.undo(ctx, limits[:i]))
		}
		if used <= int64(l.Max) {
			continue
		}
		wait, err = c.Wait(ctx, l)
		return max(wait, time.Second), errors.Join(err, c.undo(ctx, limits[:i+1]))
	}
	return 0, nil
}

// hit counts one, as RateLimiter::hit does.
func (c *counter) hit(ctx context.Context, l Limit) (int64, error) {
	per := l.window()
	if _, err := c.store.Add(ctx, timer(l.Key), time.Now().Add(per).Unix(), per); err != nil {
		return 0, err
	}
	used, err := c.store.Increment(ctx, cleanKey(l.Key), 1, per)
	if _, not := errors.AsType[*cache.NotIntegerError](err); not {
		if err = c.store.Put(ctx, cleanKey(l.Key), 1, per); err == nil { // what is no number counted nothing
			used = 1
		}
	}
	return used, err
}

// undoTimeout bounds how long a count is waited for that is taken back.
const undoTimeout = 5 * time.Second

// undo takes back one of each limit. A window that has ended meanwhile must not
// begin below zero.
func (c *counter) undo(ctx context.Context, limits []Limit) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	var errs []error
	for _, l := range limits {
		used, err := c.store.Increment(ctx, cleanKey(l.Key), -1, l.window())
		if err == nil && used < 0 {
			_, err = c.store.Increment(ctx, cleanKey(l.Key), 1, l.window())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Line implements [Counter].
func (c *counter) Line(ctx context.Context, l Limit, left time.Duration) (int, error) {
	n, err := c.store.Increment(ctx, cleanKey(l.Key)+":line", 1, left)
	return int(n), err
}

// Clear implements [Counter], as RateLimiter::clear does.
func (c *counter) Clear(ctx context.Context, key string) error {
	return errors.Join(c.store.Forget(ctx, cleanKey(key)), c.store.Forget(ctx, timer(key)))
}
