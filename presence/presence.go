// Package presence is how workers that share queues see each other: each keeps a
// record beside its queues while it lives, and a newcomer looks who else is
// there. It refuses what would lose jobs, and names what may be a mistake.
//
// It costs a write every quarter of a minute for each worker, and nothing for a
// job. Package worker calls it; it imports package spool and the seam.
package presence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// Identity says whose workers these are, as others on the same queues are told.
type Identity struct {
	// App and Env are APP_NAME and APP_ENV; empty means unknown, which is not
	// unlike anybody's.
	App, Env string
	// Exclusive refuses to start beside workers of another App or Env on the same
	// queues, and has them refuse to start beside this one. It needs a backend
	// that keeps records.
	Exclusive bool
	// Unlisted keeps no record.
	Unlisted bool
}

// The life of a record, how often it is renewed, and how long the store may
// take about it.
const (
	life  = time.Minute
	renew = 15 * time.Second
	wait  = 5 * time.Second
)

// Presence is the record that a living worker keeps beside its queues, where
// all who share them see it. It costs a write every quarter of a minute, and
// nothing for a job. A nil Presence is that of a worker without a record.
type Presence struct {
	conn    *spool.Connection
	me      Record
	log     *slog.Logger
	failing bool
}

// Join registers a worker of a connection and looks who else works its queues.
// It refuses with a [*FormatError] or an [*ExclusiveError], and logs what
// else may be a mistake. A store that can't keep the record refuses nobody, but
// one who is exclusive. What me leaves empty of ID, Host, PID, User, Started,
// Connection and Format is filled in. logger may be nil.
//
// The record is written before others are looked for, so that of two who start
// at once, one at least sees the other.
func Join(ctx context.Context, conn *spool.Connection, me Record, logger *slog.Logger) (*Presence, error) {
	if logger == nil {
		logger = slog.Default()
	}
	p := &Presence{conn: conn, me: described(conn, me), log: logger}
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := p.write(limited)
	var all []Record
	if err == nil {
		all, err = List(limited, conn)
	}
	switch {
	case ctx.Err() != nil: // it is to stop before it has begun
		p.Leave()
		return nil, nil //nolint:nilnil // a nil Presence is documented
	case err != nil:
		return p.alone(err)
	}
	if err := p.meet(ctx, all); err != nil {
		p.Leave()
		return nil, err
	}
	return p, nil
}

// alone is Join without others to be seen. A store that failed may do better
// later; one that can't is left alone.
func (p *Presence) alone(err error) (*Presence, error) {
	never := errors.Is(err, errors.ErrUnsupported)
	_, could := p.conn.Driver().(driver.Registrar)
	switch {
	case p.me.Exclusive:
		p.Leave()
		return nil, fmt.Errorf("exclusive-env: it can't be seen who else works the queues of connection %s: %w", p.conn.Name, err)
	case never && !could:
		p.log.Info("this backend keeps no records of workers: others can't be seen", "connection", p.conn.Name)
	default:
		p.log.Warn("other workers of these queues can't be seen, nor this one by them", "connection", p.conn.Name, "error", err)
	}
	if never {
		return nil, nil //nolint:nilnil // a nil Presence is documented
	}
	p.failing = true
	return p, nil
}

// described fills in what is empty.
func described(conn *spool.Connection, me Record) Record {
	me.ID = cmp.Or(me.ID, spool.NewUUID())
	me.PID = cmp.Or(me.PID, os.Getpid())
	me.Connection = cmp.Or(me.Connection, conn.Name)
	me.Format = cmp.Or(me.Format, spool.FormatName(conn.Format))
	me.State = cmp.Or(me.State, Running)
	if me.Host == "" {
		me.Host, _ = os.Hostname()
	}
	if me.User == "" {
		if u, err := user.Current(); err == nil {
			me.User = u.Username
		} else {
			me.User = strconv.Itoa(os.Getuid())
		}
	}
	if me.Started.IsZero() {
		me.Started = time.Now()
	}
	if len(me.Queues) == 0 {
		me.Queues = []string{conn.Queue}
	}
	return me
}

func (p *Presence) write(ctx context.Context) error {
	p.me.Seen = time.Now()
	return put(ctx, p.conn, p.me)
}

// Keep renews the record until ctx ends. update brings it up to date first; it
// may be nil. A store that fails changes nothing for the worker, and is reported
// once.
func (p *Presence) Keep(ctx context.Context, update func(*Record)) {
	if p == nil {
		return
	}
	tick := time.NewTicker(renew)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if update != nil {
			update(&p.me)
		}
		limited, cancel := context.WithTimeout(ctx, wait)
		err := p.write(limited)
		cancel()
		if err != nil && ctx.Err() == nil && !p.failing {
			p.log.Warn("this worker's record can't be renewed: others will no longer see it", "connection", p.conn.Name, "error", err)
		}
		p.failing = err != nil
	}
}

// Leave removes the record. Call it when Keep has returned.
func (p *Presence) Leave() {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	err := on(p.conn, "unregister", func(r driver.Registrar) error { return r.Unregister(ctx, p.me.ID) })
	if err != nil {
		p.log.Debug("this worker's record stays until it runs out", "connection", p.conn.Name, "error", err)
	}
}
