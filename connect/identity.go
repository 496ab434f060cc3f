package connect

import (
	"strings"

	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/presence"
)

// Identity is what the workers of these settings tell others on the same queues
// of themselves. A name that nobody has given the application says nothing of
// it.
func (s *Set) Identity() presence.Identity {
	id := presence.Identity{App: s.Config.App.Name, Env: s.Config.App.Env, Exclusive: s.Config.Worker.ExclusiveEnv}
	if s.Config.Source("app.name").Kind == config.FromDefault {
		id.App = ""
	}
	return id
}

// workersBeside names the table with the records of workers of a connection of
// the driver database, beside its table of jobs; the prefix isn't part of it.
func workersBeside(c *config.Connection) string {
	return c.Table[:strings.LastIndexByte(c.Table, '.')+1] + "spool_workers"
}
