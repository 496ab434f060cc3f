package worker_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
)

// limited is a queue in memory that holds no job back for longer than a
// minute, as SQS does for longer than twelve hours.
type limited struct {
	*memqueue.Conn
}

func (l *limited) within(rs []driver.Reservation, d time.Duration, do func() error) error {
	if d <= time.Minute {
		return do()
	}
	errs := make([]error, len(rs))
	for i := range errs {
		errs[i] = &driver.LimitError{What: "delay", Have: int64(d), Max: int64(time.Minute)}
	}
	return driver.Outcomes(errs)
}

func (l *limited) Release(ctx context.Context, rs []driver.Reservation, d time.Duration) error {
	return l.within(rs, d, func() error { return l.Conn.Release(ctx, rs, d) })
}

func (l *limited) Return(ctx context.Context, rs []driver.Reservation, d time.Duration) error {
	return l.within(rs, d, func() error { return l.Conn.Return(ctx, rs, d) })
}

func TestABackoffOverTheLimitOfTheStoreIsShortened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		m := spool.NewManager(&spool.ManagerOptions{Events: r.conn.Events()})
		m.Add(spool.ConnectionConfig{Name: "mem", Open: func(context.Context) (driver.Conn, error) {
			return &limited{memqueue.New(nil)}, nil
		}})
		conn, err := m.Connection(t.Context(), "mem")
		if err != nil {
			t.Fatal(err)
		}
		r.client, r.conn = spool.NewClient(m, nil), conn
		begun := time.Now()
		var at []time.Duration
		r.handle(func(_ context.Context, j *spool.Job) error {
			at = append(at, time.Since(begun).Round(time.Second))
			if j.Attempt == 1 {
				return spool.Release(time.Hour)
			}
			return nil
		}, spool.Tries(2))
		r.push(t)
		r.work(t, 5*time.Minute)
		if want := []time.Duration{0, time.Minute}; !slices.Equal(at, want) {
			t.Errorf("it ran after %v, want %v", at, want)
		}
		if n := r.size(t, "").Total(); n != 0 {
			t.Errorf("%d jobs left", n)
		}
	})
}
