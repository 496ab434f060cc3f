package connect

import (
	"context"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/backgroundqueue"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/syncqueue"
	"github.com/spoolq/spool/worker"
)

// openInline opens a connection that runs jobs in this process.
func (s *Set) openInline(c *config.Connection) (driver.Conn, error) {
	format, err := s.formatOf(c)
	if err != nil {
		return nil, err
	}
	run := worker.Inline(c.Name, s.Mux, format, s.Manager.Events(), &worker.Options{Followers: s.Manager.Followers(), Locks: s.later(), Signals: s.later()})
	if c.Driver == "sync" {
		return syncqueue.New(run), nil
	}
	w := s.Config.Worker
	return backgroundqueue.New(run, &backgroundqueue.Options{
		Name: c.Driver, Concurrency: c.Concurrency, Grace: max(w.Grace, time.Nanosecond), CancelGrace: max(w.CancelGrace, time.Nanosecond),
		Failed: func(queue, id string, body []byte, err error) {
			name, uuid := "", ""
			if p, err := format.Decode(body); err == nil {
				name, uuid = p.Name, p.UUID
			}
			s.log.Error("a job failed; jobs of this connection have one attempt and no record", "connection", c.Name, "queue", queue, "job", name, "uuid", uuid, "error", err)
		},
	}), nil
}

// tellFailovers logs when a failover goes past a connection.
func (s *Set) tellFailovers() {
	spool.Listen(s.Manager.Events(), func(_ context.Context, e spool.QueueFailedOver) {
		s.log.Warn("a connection is down, jobs go to the next one", "failover", e.Failover, "connection", e.Connection, "job", e.Name, "uuid", e.UUID, "error", e.Err)
	})
}
