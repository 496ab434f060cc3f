package connect

import (
	"cmp"
	"maps"
	"slices"

	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/sqldb/schema"
)

// Table is one table that the settings use.
type Table struct {
	Database string       // the name of its database in the settings
	Names    schema.Names // with the one name set
}

// Name returns the table's name, prefix included.
func (t Table) Name() string {
	n := t.Names
	return cmp.Or(n.Jobs, n.FailedJobs, n.JobBatches, n.BatchEnds, n.BatchCallbacks, n.Cache, n.CacheLocks, n.Workers)
}

// Used returns the names of the queue connections that the settings are about:
// the default one first, then those that somebody has configured, sorted, each
// followed by those that it fails over to. The others are there because a stock
// configuration lists them.
func (s *Set) Used() []string {
	names := []string{s.Config.Default}
	if d := s.Config.Degrade; d != "" {
		names = append(names, d)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Config.Connections)) {
		if s.Config.Source("queue.connections."+name+".driver").Kind != config.FromDefault {
			names = append(names, name)
		}
	}
	return s.andBehind(names)
}

// andBehind puts behind each failover the connections that it chooses from,
// each name once.
func (s *Set) andBehind(names []string) []string {
	var all []string
	add := func(name string) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	for _, name := range names {
		add(name)
		if c, err := s.Config.Connection(name); err == nil {
			for _, behind := range c.Connections {
				add(behind)
			}
		}
	}
	return all
}

// Tables lists the tables that the settings keep in databases: those of jobs
// and workers of the named connections (none: [Set.Used]), of failed jobs, of batches, and
// of the cache store in use with its locks. Those of think-queue are left out:
// ThinkPHP makes them. Names of connections that don't
// exist are passed over.
func (s *Set) Tables(connections ...string) []Table {
	if len(connections) == 0 {
		connections = s.Used()
	}
	var tables []Table
	add := func(database, table string, name func(*schema.Names) *string) {
		t := Table{Database: s.databaseName(database)}
		if s.Config.Databases[t.Database] == nil {
			return
		}
		*name(&t.Names) = s.table(database, table)
		if !slices.Contains(tables, t) {
			tables = append(tables, t)
		}
	}
	for _, name := range s.andBehind(connections) {
		c, err := s.Config.Connection(name)
		if err != nil || c.Driver != "database" {
			continue
		}
		if !thinks(c) {
			add(c.Connection, c.Table, func(n *schema.Names) *string { return &n.Jobs })
		}
		add(c.Connection, workersBeside(c), func(n *schema.Names) *string { return &n.Workers })
	}
	if f := s.Config.Failed; f.Driver == "database" || f.Driver == "database-uuids" {
		add(f.Database, f.Table, func(n *schema.Names) *string { return &n.FailedJobs })
	}
	if b := s.Config.Batching; b.Driver == "database" {
		add(b.Database, b.Table, func(n *schema.Names) *string { return &n.JobBatches })
		add(b.Database, batchEnds, func(n *schema.Names) *string { return &n.BatchEnds })
		add(b.Database, batchCallbacks, func(n *schema.Names) *string { return &n.BatchCallbacks })
	}
	if c := s.Config.Cache.Stores[s.Config.Cache.Default]; c != nil && c.Driver == "database" {
		add(c.Connection, c.Table, func(n *schema.Names) *string { return &n.Cache })
		add(cmp.Or(c.LockConnection, c.Connection), c.LockTable, func(n *schema.Names) *string { return &n.CacheLocks })
	}
	return tables
}
