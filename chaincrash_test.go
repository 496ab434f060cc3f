package spool_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
)

// crashing is a connection of a process that dies at its k-th change of the
// store: that one takes place or not, all later calls fail.
type crashing struct {
	*memqueue.Conn
	calls atomic.Int64
	at    int64
	done  bool // what it was doing took place
}

var errCrashed = errors.New("the process has died")

func (c *crashing) step(do func() error) error {
	switch calls := c.calls.Add(1); {
	case calls < c.at:
		return do()
	case calls == c.at && c.done:
		_ = do()
	}
	return errCrashed
}

func (c *crashing) Push(ctx context.Context, queue string, ms []driver.Message) (ids []string, err error) {
	err = c.step(func() (err error) { ids, err = c.Conn.Push(ctx, queue, ms); return err })
	if err != nil {
		ids = nil
	}
	return ids, err
}

func (c *crashing) Delete(ctx context.Context, rs []driver.Reservation) error {
	return c.step(func() error { return c.Conn.Delete(ctx, rs) })
}

func (c *crashing) Extend(ctx context.Context, rs []driver.Reservation) error {
	if c.calls.Load() >= c.at {
		return errCrashed
	}
	return c.Conn.Extend(ctx, rs)
}

func (c *crashing) Release(ctx context.Context, rs []driver.Reservation, d time.Duration) error {
	if c.calls.Load() >= c.at {
		return errCrashed
	}
	return c.Conn.Release(ctx, rs, d)
}

func (c *crashing) Return(ctx context.Context, rs []driver.Reservation, d time.Duration) error {
	return c.Release(ctx, rs, d)
}

func (c *crashing) Reserve(ctx context.Context, queue string, max int) ([]driver.Reservation, error) {
	if c.calls.Load() >= c.at {
		return nil, errCrashed
	}
	return c.Conn.Reserve(ctx, queue, max)
}

// Whatever two changes of the store a crash comes between, every link runs, in
// order, and one that runs twice does so under one uuid.
func TestAChainSurvivesACrash(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails string
		want  []string
	}{{"to its end", "", []string{"a", "b", "c"}}, {"to the alarm", "b", []string{"a", "b", "alarm ann"}}} {
		for at := 1; at <= 6; at++ {
			for _, done := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, change %d, done %v", c.name, at, done), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						store := memqueue.New(&memqueue.Options{RetryAfter: 10 * time.Second})
						dying := &crashing{Conn: store, at: int64(at) + 1, done: done} // the first is the dispatch
						before := newPodium(t, nil, map[string]driver.Conn{"mem": dying})
						after := newPodium(t, nil, map[string]driver.Conn{"mem": store})
						after.store = before.store
						for _, p := range []*podium{before, after} {
							p.fails[c.fails] = spool.Fail(errors.New("no"))
						}
						dispatched(t, before.client.Chain(spool.With(step{"a"}, spool.Tries(3)), spool.With(step{"b"}, spool.Tries(3)),
							spool.With(step{"c"}, spool.Tries(3))).Catch(spool.With(alarm{"ann"}, spool.Tries(3))))
						before.work(t, 30*time.Second)
						after.work(t, 5*time.Minute)

						uuids := map[string]string{}
						var order []string
						for i, name := range append(before.ran, after.ran...) {
							job := append(before.jobs, after.jobs...)[i]
							if uuid, again := uuids[name]; !again {
								order = append(order, name)
							} else if uuid != job.UUID {
								t.Errorf("%s ran as %s and as %s", name, uuid, job.UUID)
							}
							uuids[name] = job.UUID
						}
						if d := cmp.Diff(c.want, order); d != "" {
							t.Errorf("what ran first, of %v and then %v (-want +got)\n%s", before.ran, after.ran, d)
						}
						if size, err := conn(t, after.manager, "mem").Size(t.Context(), ""); err != nil || size.Total() != 0 {
							t.Errorf("left: %+v, %v", size, err)
						}
						if n := len(after.records(t)); n != map[bool]int{true: 1}[c.fails != ""] {
							t.Errorf("%d records", n)
						}
					})
				})
			}
		}
	}
}
