package worker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/worker"
)

// hung is a cache that doesn't answer from some time on.
type hung struct {
	spool.Signals
	from time.Time
}

func (h *hung) Many(ctx context.Context, keys ...string) (map[string]string, error) {
	if time.Now().After(h.from) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return h.Signals.Many(ctx, keys...)
}

func (h *hung) Increment(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	if time.Now().After(h.from) {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return h.Signals.Increment(ctx, key, by, ttl)
}

func (h *hung) Forget(ctx context.Context, key string) error {
	if time.Now().After(h.from) {
		<-ctx.Done()
		return ctx.Err()
	}
	return h.Signals.Forget(ctx, key)
}

func TestACacheThatHangsChangesNothing(t *testing.T) {
	keys := spool.LaravelKeys()
	t.Run("restarts nobody", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			_ = r.opts.Signals.Put(t.Context(), keys.Restart, 1234, 0)
			r.opts.Signals = &hung{r.opts.Signals, time.Now().Add(10 * time.Second)}
			if res := r.work(t, time.Minute); res.Reason != worker.Interrupted {
				t.Errorf("%+v", res)
			}
		})
	})
	t.Run("nor when it comes back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			signals := r.opts.Signals
			_ = signals.Put(t.Context(), keys.Restart, 1234, 0)
			r.opts.Signals = &late{signals, time.Now().Add(10 * time.Second)}
			time.AfterFunc(30*time.Second, func() { _ = signals.Put(t.Context(), keys.Restart, 5678, 0) })
			begun := time.Now()
			res := r.work(t, time.Minute)
			if up := time.Since(begun); res.Reason != worker.Restarting || up < 30*time.Second {
				t.Errorf("%+v after %v", res, up)
			}
		})
	})
	t.Run("resumes nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.handle(func(context.Context, *spool.Job) error { return nil })
			_ = r.opts.Signals.Put(t.Context(), keys.PausedAll, true, 0)
			r.opts.Signals = &hung{r.opts.Signals, time.Now().Add(10 * time.Second)}
			r.push(t)
			r.work(t, time.Minute)
			r.expect(t)
		})
	})
	t.Run("hides no other sign of maintenance", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.handle(func(context.Context, *spool.Job) error { return nil })
			r.opts.Signals = &late{r.opts.Signals, time.Now().Add(time.Hour)}
			r.opts.Maintenance = func() bool { return true }
			r.push(t)
			r.work(t, time.Minute)
			r.expect(t)
		})
	})
	t.Run("holds up no job", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.handle(func(context.Context, *spool.Job) error { return errors.New("boom") }, spool.Tries(0), spool.MaxExceptions(2))
			r.opts.Signals = &hung{r.opts.Signals, time.Now().Add(time.Second)}
			time.Sleep(2 * time.Second)
			r.push(t)
			r.work(t, time.Minute)
			r.expect(t, "processing 1", "exception", "released 0s", "processing 2", "exception", "failed")
		})
	})
}

// late is a cache that can be read only from some time on.
type late struct {
	spool.Signals
	from time.Time
}

func (l *late) Many(ctx context.Context, keys ...string) (map[string]string, error) {
	if time.Now().Before(l.from) {
		return nil, errServer
	}
	return l.Signals.Many(ctx, keys...)
}
