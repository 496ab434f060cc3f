package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spoolq/spool/sqldb"
)

// Pauses between tries to listen, and how long the first notification, which
// the listener sends to itself, may take.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
	echoWithin = 5 * time.Second
)

// errNoEcho says that LISTEN was accepted and nothing arrives.
var errNoEcho = errors.New("LISTEN was accepted, but notifications don't arrive, as behind a pooler that shares connections between transactions; set a DSN for listening that goes to the server itself")

// listen keeps a connection that listens, until the remote is closed. While
// there is none, waiters poll.
func (r *remote) listen() {
	pause, told := firstRetry, false
	for {
		err := r.session(func() {
			if told {
				r.log.Info("listening for pushes again", "database", r.cfg.Database)
			}
			pause, told = firstRetry, false
		})
		if r.ctx.Err() != nil {
			return
		}
		if !told {
			r.log.Warn("can't listen for pushes; polling until it works", "database", r.cfg.Database, "error", err)
			told = true
		}
		t := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-t.C:
		case <-r.ctx.Done():
			t.Stop()
			return
		}
		pause = min(2*pause, lastRetry)
	}
}

// session listens on one connection until it breaks. It calls works once a
// notification has come through.
func (r *remote) session(works func()) error {
	conn, err := pgx.ConnectConfig(r.ctx, r.cfg)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	on := map[string]bool{}
	for {
		tables := r.wanted()
		for channel, table := range tables {
			if on[channel] {
				continue
			}
			if _, err := conn.Exec(r.ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
				return err
			}
			if err := r.echo(conn, channel, tables); err != nil {
				return err
			}
			on[channel] = true
			// What was pushed before counts too.
			r.signals.Announce(sqldb.Topic{Table: table})
		}
		works()
		works = func() {}
		if err := r.receive(conn, tables); err != nil {
			return err
		}
	}
}

// echo waits for a notification that it sends to itself: some poolers accept
// LISTEN and never deliver.
func (r *remote) echo(conn *pgx.Conn, channel string, tables map[string]string) error {
	ctx, cancel := context.WithTimeout(r.ctx, echoWithin)
	defer cancel()
	if _, err := r.pool.ExecContext(ctx, "SELECT pg_notify($1, '')", channel); err != nil {
		return err
	}
	for {
		n, err := conn.WaitForNotification(ctx)
		switch {
		case err == nil && n.Channel == channel:
			return nil
		case err == nil:
			r.deliver(n, tables)
			continue
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return errNoEcho
		}
		return err
	}
}

// receive passes notifications on until tables are added (nil) or the
// connection breaks.
func (r *remote) receive(conn *pgx.Conn, tables map[string]string) error {
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan struct{})
	grew := false
	go func() {
		defer close(done)
		select {
		case <-r.more:
			grew = true
			cancel()
		case <-ctx.Done():
		}
	}()
	defer func() {
		cancel()
		<-done
	}()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			cancel()
			<-done
			if grew && !conn.IsClosed() {
				return nil
			}
			return err
		}
		r.deliver(n, tables)
	}
}

// deliver passes one notification on.
func (r *remote) deliver(n *pgconn.Notification, tables map[string]string) {
	if table, ok := tables[n.Channel]; ok {
		r.signals.Announce(sqldb.Topic{Table: table, Queue: n.Payload})
	}
}
