package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	mysqlsdk "github.com/go-sql-driver/mysql"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/sqldb"
)

// Explain adds to an error of anything in the Set how to mend it, where that
// is known and not said yet. It returns nil for nil.
func (s *Set) Explain(err error) error {
	if err == nil || strings.Contains(err.Error(), migrateHint) || strings.Contains(err.Error(), thinkHint) {
		return err
	}
	if s.missingTable(err) {
		f := s.Config.Failed
		if f.Driver == "think" && strings.Contains(err.Error(), s.table(f.Database, f.Table)) {
			return fmt.Errorf("%w; %s, with think queue:failed-table and migrate:run; without it say queue: {failed: {driver: file}} and only Spool's failed jobs are recorded, in a file", err, thinkHint)
		}
		return fmt.Errorf("%w; %s creates the tables that the settings use", err, migrateHint)
	}
	switch refused(err) {
	case badLogin:
		return fmt.Errorf("%w; check username and password: `spool config database.connections` shows where they come from", err)
	case badDatabase:
		return fmt.Errorf("%w; create that database, or name another one: `spool config database.connections` shows where its name comes from", err)
	case noServer:
		what, key := s.unreached(err)
		return fmt.Errorf("%w; is the server running, %s right? `spool config %s` shows where that comes from", err, what, key)
	}
	return err
}

// What an error says that tells where a table comes from.
const (
	migrateHint = "`spool migrate`"
	thinkHint   = "ThinkPHP makes it"
)

// unreached returns what says where the server is that an error is about, and
// the key of the settings that it stands under.
func (s *Set) unreached(err error) (what, key string) {
	if e, ok := errors.AsType[*spool.Error](err); ok {
		if c := s.Config.Connections[e.Connection]; c != nil {
			switch key := "queue.connections." + c.Name; c.Driver {
			case "beanstalkd":
				return "are host and port", key
			case "sqs":
				return "are endpoint and region", key
			}
		}
	}
	return "are host and port", "database.connections"
}

// missingTable says whether a database complains of a table that isn't there.
func (s *Set) missingTable(err error) bool {
	s.databases.mu.Lock()
	defer s.databases.mu.Unlock()
	for _, db := range s.databases.have {
		if db.Fault(err) == sqldb.NoTable {
			return true
		}
	}
	return false
}

// refusal is why a database can't be reached.
type refusal int

const (
	otherwise refusal = iota
	badLogin
	badDatabase
	noServer
)

// refused tells why a SQL server can't be reached. Redis errors explain
// themselves.
func refused(err error) refusal {
	if my, ok := errors.AsType[*mysqlsdk.MySQLError](err); ok {
		switch my.Number {
		case 1045, 1698: // access denied for the user
			return badLogin
		case 1044, 1049: // access denied to the database, unknown database
			return badDatabase
		}
		return otherwise
	}
	var pg interface{ SQLState() string }
	if errors.As(err, &pg) {
		switch pg.SQLState() {
		case "28P01", "28000":
			return badLogin
		case "3D000":
			return badDatabase
		}
		return otherwise
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && !strings.Contains(err.Error(), "redis") {
		return noServer
	}
	return otherwise
}

// Ready checks what a worker needs beside its queue: that failed jobs can be
// recorded and signals read. It reads next to nothing.
func (s *Set) Ready(ctx context.Context) error {
	store, err := s.Failed(ctx)
	if err == nil && store != nil {
		_, _, err = store.List(ctx, failed.Filter{WithoutPayload: true, WithoutException: true}, "", 1)
	}
	if err != nil {
		return fmt.Errorf("failed jobs: %w", err)
	}
	c, err := s.Cache(ctx)
	if err == nil {
		_, err = c.Many(ctx, spool.LaravelKeys().Restart)
	}
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	return nil
}
