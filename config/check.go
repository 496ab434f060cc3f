package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// minLease is the shortest retry_after that can be kept: stores count whole
// seconds.
const minLease = 3 * time.Second

// Check looks for settings that can hurt, without asking any server: those of
// the named queue connections (none: the default one; names that aren't in the
// settings are passed over) and of everything beside them. It begins with
// cfg.Warnings. A worker must not start with a finding of the level [Refuse].
func Check(cfg *Config, connections ...string) []Finding {
	c := &checker{cfg: cfg, found: append([]Finding(nil), cfg.Warnings...)}
	if len(connections) == 0 {
		connections = []string{cfg.Default}
	}
	for _, name := range connections {
		q, err := cfg.Connection(name)
		if err != nil {
			continue // the application's own, which it has added itself
		}
		c.connection(q)
	}
	if d := cfg.Degrade; d != "" {
		c.add(Warn, "queue.degrade", "every dispatch goes to the connection %s, whatever connection it names, until this is unset", d)
	}
	c.worker()
	c.cache(connections)
	c.failed()
	return c.found
}

type checker struct {
	cfg   *Config
	found []Finding
}

func (c *checker) add(level Level, key, format string, args ...any) {
	c.found = append(c.found, Finding{level, key, fmt.Sprintf(format, args...), c.cfg.Source(key)})
}

func (c *checker) connection(q *Connection) {
	key := "queue.connections." + q.Name
	production := c.cfg.App.Env == "production" || c.cfg.App.Env == "prod"
	switch q.Driver {
	case "sync":
		if production {
			c.add(Warn, key+".driver", "sync runs each job inside the program that pushes it, in production too: a worker never finds any; set QUEUE_CONNECTION to database or redis")
		}
	case "background":
		c.add(Warn, key+".driver", "background runs jobs in the program that pushes them: a crash loses those at hand, and a worker never finds any")
	case "deferred":
		c.add(Warn, key+".driver", "deferred runs jobs in the program that pushes them, after its response: a crash loses those at hand, and a worker never finds any")
	case "failover":
		for _, name := range q.Connections {
			if behind, err := c.cfg.Connection(name); err == nil {
				c.connection(behind)
			}
		}
		if first := q.Connections[0]; len(q.Connections) > 1 {
			c.add(Warn, key+".driver", "a worker of this connection works %s only: run one for each of the other connections that hold jobs", first)
		}
	case "null":
		c.add(Warn, key+".driver", "null drops every job that is pushed")
	case "memory":
		if production {
			c.add(Warn, key+".driver", "memory keeps jobs in this process only: they are gone when it ends")
		}
	case "sqs":
		if q.Prefix == "https://sqs.us-east-1.amazonaws.com/your-account-id" {
			c.add(Refuse, key+".prefix", "still names the account your-account-id: set SQS_PREFIX")
		}
		if store := cmp.Or(q.OverflowStore, c.cfg.Cache.Default); q.OverflowFlush && store == c.cfg.Cache.Default {
			c.add(Warn, key+".overflow.flush_on_clear", "clearing a queue empties the cache store %s, with the restart and pause signals, locks and counters in it: keep large payloads in a store of their own (overflow.store)", store)
		}
	case "database":
		c.sqlite(q)
		c.overlap(q, key)
		c.lease(q, key)
	case "redis":
		c.redis(q, key)
		c.overlap(q, key)
		c.lease(q, key)
	case "beanstalkd":
		if q.Priority < 1 {
			c.add(Refuse, key+".priority", "%d: it must be 1 or more, Laravel's is 1024", q.Priority)
		}
		if q.RetryAfter == nil {
			c.add(Warn, key+".retry_after", "null: beanstalkd has no reservations that stay; jobs are given 90 s, after which it takes back those of a worker that died")
			return
		}
		c.lease(q, key)
	default:
		c.lease(q, key) // the program's own
	}
}

// lease checks retry_after against the times that jobs may take.
func (c *checker) lease(q *Connection, key string) {
	key += ".retry_after"
	if q.RetryAfter == nil {
		c.add(Warn, key, "null: jobs of a worker that died are not tried again by themselves. Spool still writes a lease of 90 s that live workers renew, and lists and returns expired jobs on command; PHP workers never return them. Set a number of seconds")
		return
	}
	lease := *q.RetryAfter
	if lease < minLease {
		c.add(Refuse, key, "%s is too short: stores count whole seconds, so a lease under %s cannot be kept; set at least 3, better 90", seconds(lease), seconds(minLease))
		return
	}
	timeout := c.cfg.Worker.Timeout
	switch {
	case timeout == 0:
		c.add(Warn, key, "worker.timeout is 0, no limit: a job that runs longer than %s is safe in Spool, which renews its lease while it runs, but a PHP worker on the same queue would run it a second time meanwhile", seconds(lease))
	case timeout >= lease:
		c.add(Warn, key, "worker.timeout (%s) is not below retry_after (%s): Spool renews the lease of a running job, so it runs once here, but a PHP worker on the same queue would run it a second time; set retry_after above the longest timeout", seconds(timeout), seconds(lease))
	}
	for i := range c.cfg.Jobs {
		if t := c.cfg.Jobs[i].Timeout; t != nil && *t >= lease {
			c.add(Warn, fmt.Sprintf("jobs[%d].timeout", i), "%s is not below the retry_after (%s) of the connection %s: fine in Spool, which renews leases; a PHP worker on the same queue would run such a job twice", seconds(*t), seconds(lease), q.Name)
		}
	}
}

func (c *checker) redis(q *Connection, key string) {
	if q.BlockFor != nil && *q.BlockFor == 0 {
		c.add(Warn, key+".block_for", "0 blocks without limit: a PHP worker then moves no delayed job and heeds no signal while it waits (null, not 0, means not to block); Spool wakes in time for both. Set 5, or null")
	}
	r := c.cfg.Redis[q.Connection]
	if r == nil {
		return
	}
	rkey := "database.redis." + q.Connection
	c.prefix("database.redis.options.prefix", rkey+".prefix", "REDIS_PREFIX")
	if r.Cluster {
		if offTags(r.Prefix) {
			c.add(Refuse, rkey+".prefix", "%q has {} in it, which switches hash tags off: a Redis Cluster would spread the keys of a queue over its nodes", r.Prefix)
		}
		if r.Database != 0 {
			c.add(Refuse, rkey+".database", "a Redis Cluster has the database 0 only")
		}
		if strings.HasPrefix(q.Queue, "}") {
			c.add(Refuse, key+".queue", "%q can't be used on a Redis Cluster: a name that begins with } can't be put in braces, which keep a queue's keys on one node", q.Queue)
		} else if v := c.cfg.Laravel; v.Before(newestMajor, 0) && !hasTag(q.Queue) {
			c.add(Warn, key+".queue", "Laravel %s needs braces round queue names on a Redis Cluster, so that a queue's keys stay together: name it {%s}", v, q.Queue)
		}
	}
}

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

// offTags says whether a prefix switches hash tags off.
func offTags(prefix string) bool {
	open := strings.IndexByte(prefix, '{')
	return open >= 0 && strings.HasPrefix(prefix[open:], "{}")
}

// hasTag says whether a queue's name has a hash tag.
func hasTag(queue string) bool {
	open := -1
	for i, r := range queue {
		switch {
		case r == '{' && open < 0:
			open = i
		case r == '}' && open >= 0:
			return i > open+1
		}
	}
	return false
}

// prefix warns where the prefix is a default that changed within a version.
func (c *checker) prefix(stockKey, key, variable string) {
	src := c.cfg.Source(key)
	if src.Kind != FromDefault || c.cfg.Source(stockKey).Kind != FromDefault {
		return
	}
	app := c.cfg.App.Name
	if other, ok := otherRedisPrefix(c.cfg.Laravel, app); ok && variable == "REDIS_PREFIX" {
		c.add(Warn, key, "%q is a guess: Laravel %s applications have either this prefix or %q, by the age of their config files, and with the wrong one no job is found; say which by %s", redisPrefix(c.cfg.Laravel, app), c.cfg.Laravel, other, variable)
	}
	if other, ok := otherCachePrefix(c.cfg.Laravel, app); ok && variable == "CACHE_PREFIX" {
		c.add(Warn, key, "%q is a guess: Laravel %s applications have either this prefix or %q, by the age of their config files, and with the wrong one queue:restart of PHP is not heard; say which by %s", cachePrefix(c.cfg.Laravel, app), c.cfg.Laravel, other, variable)
	}
}

func (c *checker) sqlite(q *Connection) {
	d := c.cfg.Databases[q.Connection]
	if d == nil || d.Driver != "sqlite" {
		return
	}
	key := "database.connections." + d.Name
	if d.Database == ":memory:" || strings.HasPrefix(d.Database, "file:") {
		c.add(Refuse, key+".database", "%s is not the path of a file; name one, or use the driver memory for jobs that stay in one process", d.Database)
	}
	if d.Synchronous == "normal" || d.Synchronous == "off" {
		c.add(Warn, key+".synchronous", "%s: a power cut may lose the jobs pushed last%s", d.Synchronous, map[bool]string{true: " and damage the file"}[d.Synchronous == "off"])
	}
}

func (c *checker) worker() {
	w := &c.cfg.Worker
	if w.Timeout > 0 && w.Sleep+w.Rest >= w.Timeout {
		c.add(Warn, "worker.sleep", "sleep and rest (%s) reach timeout (%s): harmless in Spool, but a PHP worker with these flags kills itself while it is idle", seconds(w.Sleep+w.Rest), seconds(w.Timeout))
	}
	noWait := true
	for _, b := range w.Backoff {
		noWait = noWait && b == 0
	}
	if w.Tries == 0 && noWait {
		c.add(Warn, "worker.tries", "0 is any number of tries, and backoff is 0: a job that always fails runs again and again without a pause; set tries or backoff")
	}
	if w.Concurrency < 1 {
		c.add(Refuse, "worker.concurrency", "must be 1 or more")
	}
}

// cache checks where signals are kept, and that clearing the cache can't clear
// the queue.
func (c *checker) cache(connections []string) {
	s := c.cfg.Cache.Stores[c.cfg.Cache.Default]
	if s == nil {
		return
	}
	switch s.Driver {
	case "array", "null":
		c.add(Warn, "cache.default", "the store %s cannot carry queue:restart and queue:pause from one process to another, nor locks; use database, redis or file", s.Name)
		return
	case "database":
		c.prefix("cache.prefix", "cache.stores."+s.Name+".prefix", "CACHE_PREFIX")
		return
	case "file":
		return
	}
	c.prefix("cache.prefix", "cache.stores."+s.Name+".prefix", "CACHE_PREFIX")
	for _, name := range connections {
		q, err := c.cfg.Connection(name)
		if err != nil || q.Driver != "redis" {
			continue
		}
		a, b := c.cfg.Redis[q.Connection], c.cfg.Redis[s.Connection]
		if a != nil && b != nil && a.Host == b.Host && a.Port == b.Port && a.Socket == b.Socket && a.Database == b.Database && !a.Cluster {
			c.add(Warn, "database.redis."+s.Connection+".database", "the cache store %s and the queue connection %s share Redis database %d: cache:clear of Laravel empties the whole database, jobs included; give the cache another one (REDIS_CACHE_DB)", s.Name, q.Name, a.Database)
		}
	}
}

func (c *checker) failed() {
	if c.cfg.Failed.Driver == "null" {
		c.add(Warn, "queue.failed.driver", "null keeps no record of failed jobs: they cannot be looked at or retried")
	}
}

// seconds renders a time as people write it in config/queue.php.
func seconds(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%d s", d/time.Second)
	}
	return fmt.Sprintf("%g s", d.Seconds())
}
