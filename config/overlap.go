package config

import (
	"cmp"
	"maps"
	"slices"
)

// KeyPrefix is what stands before the keys of a queue connection in Redis.
// think-queue puts nothing there, so only a prefix that somebody has set counts
// for it.
func (c *Config) KeyPrefix(q *Connection) string {
	name := cmp.Or(q.Connection, "default")
	r := c.Redis[name]
	if r == nil || profile(q) != "laravel" && c.Source("database.redis."+name+".prefix").Kind == FromDefault {
		return ""
	}
	return r.Prefix
}

// profile is what a connection stores.
func profile(q *Connection) string { return cmp.Or(q.Profile, "laravel") }

// overlap refuses a connection whose queues are also those of another one that
// stores something else there.
func (c *checker) overlap(q *Connection, key string) {
	queues := c.cfg.Worker.Queue
	if len(queues) == 0 {
		queues = []string{q.Queue}
	}
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Connections)) {
		if name == q.Name || c.cfg.Source("queue.connections."+name+".driver").Kind == FromDefault {
			continue // a stock configuration lists it, and nobody means it
		}
		other, err := c.cfg.Connection(name)
		if err == nil && profile(q) != profile(other) && slices.Contains(queues, other.Queue) && c.samePlace(q, other) {
			c.add(Refuse, key+".profile", "%s: the connection %s has queue %s in the same place and stores what %s says there: workers of the two would miscount attempts and lose jobs; correct profile, or give one of them another queue, prefix or database",
				profile(q), name, other.Queue, profile(other))
		}
	}
}

// samePlace says whether queues of one name are the same queue in both.
func (c *checker) samePlace(a, b *Connection) bool {
	if a.Driver != b.Driver {
		return false
	}
	if a.Driver == "database" {
		database := func(q *Connection) string { return cmp.Or(q.Connection, c.cfg.DefaultDatabase) }
		tq3 := func(q *Connection) bool { return profile(q) == "tq3" || profile(q) == "tq3-legacy" }
		return database(a) == database(b) && a.Table == b.Table && !(tq3(a) && tq3(b)) // the two are one there
	}
	if a.Profile == "tq3" || b.Profile == "tq3" { // its keys have braces
		return false
	}
	return sameServer(c.cfg.Redis[cmp.Or(a.Connection, "default")], c.cfg.Redis[cmp.Or(b.Connection, "default")]) && c.cfg.KeyPrefix(a) == c.cfg.KeyPrefix(b)
}

// sameServer says whether two Redis connections lead to the same database.
func sameServer(a, b *Redis) bool {
	return a != nil && b != nil && a.Host == b.Host && a.Port == b.Port && a.Socket == b.Socket && a.Database == b.Database &&
		slices.Equal(a.Nodes, b.Nodes) && a.Sentinel.Master == b.Sentinel.Master && slices.Equal(a.Sentinel.Nodes, b.Sentinel.Nodes)
}
