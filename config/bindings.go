package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// binding says which variables set which keys, in Laravel's stock config files.
type binding struct {
	keys  []string
	names []envName // the first one that is set wins
}

// envName is one variable that may set a key.
type envName struct {
	name string
	// since and until are the versions whose stock files read it; the zero
	// value leaves an end open. Outside of them it counts too, with a warning,
	// since an application may well keep an older file or have added it.
	since, until Version
	// custom marks names that only an application's own files read.
	custom bool
	// strict names count in their versions only.
	strict bool
	// plain names are Spool's own: no version, no warning.
	plain bool
}

func always(name string) envName                { return envName{name: name} }
func since(name string, major int) envName      { return envName{name: name, since: Version{major, 0}} }
func until(name string, major, m int) envName   { return envName{name: name, until: Version{major, m}} }
func custom(name string) envName                { return envName{name: name, custom: true} }
func (e envName) only() envName                 { e.strict = true; return e }
func bind(key string, names ...envName) binding { return binding{[]string{key}, names} }

// in says whether the stock files of v read the name.
func (e envName) in(v Version) bool {
	if v == (Version{}) || e.plain {
		return true
	}
	return !e.custom && !v.Before(e.since.Major, e.since.Minor) &&
		(e.until == Version{} || v == e.until || v.Before(e.until.Major, e.until.Minor))
}

// below makes one key for each of several names: below("a", "b", "x", "y") is
// a.x.b and a.y.b.
func below(prefix, suffix string, names ...string) []string {
	var keys []string
	for _, n := range names {
		keys = append(keys, join(prefix, n, suffix))
	}
	return keys
}

// queueRedis is the Redis connection that the REDIS_QUEUE_… names describe, as
// operators' guides have them; stock applications have no such connection.
const queueRedis = "queue_redis"

// bindings lists every variable that Spool reads.
func bindings() []binding {
	const db, rd = "database.connections", "database.redis"
	servers := []string{"mysql", "mariadb", "pgsql"}
	mysqls := []string{"mysql", "mariadb"}
	stock := []string{"default", "cache"}
	list := []binding{
		bind("app.name", always("APP_NAME")),
		bind("app.env", always("APP_ENV")),
		bind("app.key", always("APP_KEY")),
		bind("app.previous_keys", since("APP_PREVIOUS_KEYS", 11)),
		bind("app.maintenance.driver", since("APP_MAINTENANCE_DRIVER", 11)),
		bind("app.maintenance.store", since("APP_MAINTENANCE_STORE", 11)),

		bind("queue.default", envName{name: "QUEUE_CONNECTION", since: Version{5, 7}}, until("QUEUE_DRIVER", 5, 6)),
		bind("queue.connections.database.connection", since("DB_QUEUE_CONNECTION", 11)),
		bind("queue.connections.database.table", since("DB_QUEUE_TABLE", 11)),
		bind("queue.connections.database.queue", since("DB_QUEUE", 11)),
		bind("queue.connections.database.retry_after", since("DB_QUEUE_RETRY_AFTER", 11)),
		bind("queue.connections.redis.connection", since("REDIS_QUEUE_CONNECTION", 11)),
		bind("queue.connections.redis.queue", envName{name: "REDIS_QUEUE", since: Version{5, 7}}),
		bind("queue.connections.redis.retry_after", since("REDIS_QUEUE_RETRY_AFTER", 11), custom("REDIS_RETRY_AFTER")),
		bind("queue.connections.redis.block_for", custom("REDIS_BLOCK_FOR")),
		bind("queue.connections.beanstalkd.host", since("BEANSTALKD_QUEUE_HOST", 11)),
		bind("queue.connections.beanstalkd.queue", since("BEANSTALKD_QUEUE", 11)),
		bind("queue.connections.beanstalkd.retry_after", since("BEANSTALKD_QUEUE_RETRY_AFTER", 11)),
		bind("queue.connections.sqs.key", always("AWS_ACCESS_KEY_ID"), until("SQS_KEY", 5, 7)),
		bind("queue.connections.sqs.secret", always("AWS_SECRET_ACCESS_KEY"), until("SQS_SECRET", 5, 7)),
		bind("queue.connections.sqs.region", always("AWS_DEFAULT_REGION"), until("SQS_REGION", 5, 7)),
		bind("queue.connections.sqs.prefix", always("SQS_PREFIX")),
		bind("queue.connections.sqs.queue", always("SQS_QUEUE")),
		bind("queue.connections.sqs.suffix", since("SQS_SUFFIX", 7)),
		bind("queue.connections.sqs.overflow.enabled", since("SQS_OVERFLOW_ENABLED", 13)),
		bind("queue.connections.sqs.overflow.store", since("SQS_OVERFLOW_STORE", 13)),
		bind("queue.failed.driver", since("QUEUE_FAILED_DRIVER", 6)),

		bind("database.default", always("DB_CONNECTION")),
		{below(db, "host", servers...), []envName{always("DB_HOST")}},
		{below(db, "port", servers...), []envName{always("DB_PORT")}},
		{below(db, "database", append([]string{"sqlite"}, servers...)...), []envName{always("DB_DATABASE")}},
		{below(db, "username", servers...), []envName{always("DB_USERNAME")}},
		{below(db, "password", servers...), []envName{always("DB_PASSWORD")}},
		{below(db, "unix_socket", mysqls...), []envName{always("DB_SOCKET")}},
		{below(db, "charset", servers...), []envName{since("DB_CHARSET", 11)}},
		{below(db, "collation", mysqls...), []envName{since("DB_COLLATION", 11)}},
		bind(db+".pgsql.sslmode", since("DB_SSLMODE", 12)),
		{below(db, "sslca", mysqls...), []envName{{name: "MYSQL_ATTR_SSL_CA", since: Version{5, 8}}}},

		bind(rd+".options.prefix", envName{name: "REDIS_PREFIX", since: Version{5, 8}}),
		bind(rd+".options.cluster", envName{name: "REDIS_CLUSTER", since: Version{5, 8}}),
		{below(rd, "url", stock...), []envName{{name: "REDIS_URL", since: Version{5, 8}}}},
		{below(rd, "scheme", stock...), []envName{custom("REDIS_SCHEME")}},
		{below(rd, "host", stock...), []envName{always("REDIS_HOST")}},
		{below(rd, "port", stock...), []envName{always("REDIS_PORT")}},
		{below(rd, "username", stock...), []envName{since("REDIS_USERNAME", 9)}},
		{below(rd, "password", stock...), []envName{always("REDIS_PASSWORD")}},
		bind(rd+".default.database", envName{name: "REDIS_DB", since: Version{5, 7}}),
		bind(rd+".cache.database", envName{name: "REDIS_CACHE_DB", since: Version{5, 7}}),
		bind(rd+"."+queueRedis+".url", custom("REDIS_QUEUE_URL")),
		bind(rd+"."+queueRedis+".host", custom("REDIS_QUEUE_HOST")),
		bind(rd+"."+queueRedis+".port", custom("REDIS_QUEUE_PORT")),
		bind(rd+"."+queueRedis+".password", custom("REDIS_QUEUE_PASSWORD")),
		bind(rd+"."+queueRedis+".database", custom("REDIS_QUEUE_DB")),

		bind("cache.default", since("CACHE_STORE", 11), until("CACHE_DRIVER", 10, 0)),
		bind("cache.prefix", always("CACHE_PREFIX")),
		bind("cache.stores.database.connection", since("DB_CACHE_CONNECTION", 11)),
		bind("cache.stores.database.table", since("DB_CACHE_TABLE", 11)),
		bind("cache.stores.database.lock_connection", since("DB_CACHE_LOCK_CONNECTION", 11)),
		bind("cache.stores.database.lock_table", since("DB_CACHE_LOCK_TABLE", 11)),
		bind("cache.stores.redis.connection", since("REDIS_CACHE_CONNECTION", 11)),
		bind("cache.stores.redis.lock_connection", since("REDIS_CACHE_LOCK_CONNECTION", 11)),
		bind("laravel", envName{name: "SPOOL_LARAVEL", plain: true}),
		bind("queue.degrade", envName{name: "SPOOL_DEGRADE", plain: true}),
		bind("queue.php_connection", envName{name: "SPOOL_PHP_CONNECTION", plain: true}),
		bind("queue.php_queue", envName{name: "SPOOL_PHP_QUEUE", plain: true}),
	}
	return append(list, ownBindings()...)
}

// ownBindings lists the variables that are Spool's own, whatever the framework.
func ownBindings() []binding {
	list := []binding{bind("thinkphp", envName{name: "SPOOL_THINKPHP", plain: true})}
	for _, f := range fieldsOf(reflect.TypeFor[Worker]()) {
		key := f.path[0]
		list = append(list, bind("worker."+key, envName{name: workerVar(key), plain: true}))
	}
	return list
}

// workerVar is the variable of a worker's setting.
func workerVar(key string) string { return "SPOOL_WORKER_" + strings.ToUpper(key) }

// databaseURLs are the variables that hold a database as one URL. They set the
// default database only.
func databaseURLs() []envName {
	return []envName{since("DB_URL", 11), envName{name: "DATABASE_URL", since: Version{5, 8}, until: Version{10, 0}}.only()}
}

// pick returns the variable that sets a key: one that v's stock files read,
// else another one. What is odd about it comes back as a finding.
func (b *binding) pick(env environ, v Version) (variable, *Finding) {
	for _, stock := range []bool{true, false} {
		for _, e := range b.names {
			got, ok := env[e.name]
			if !ok || e.in(v) != stock {
				continue
			}
			switch {
			case stock:
				return got, nil
			case e.strict:
				return variable{}, &Finding{Warn, b.keys[0], fmt.Sprintf("%s is not read by Laravel %s (%s is), so Spool doesn't either", e.name, v, b.names[0].name), got.src}
			}
			return got, &Finding{Warn, b.keys[0], fmt.Sprintf("%s is not read by Laravel %s's own config files; taken as %s", e.name, v, strings.Join(b.keys, ", ")), got.src}
		}
	}
	return variable{}, nil
}

// overlay is the layer of the environment: stock names only for the
// connections that known has.
func (env environ) overlay(names []binding, v Version, known *node) (*node, []Finding) {
	out, found := &node{}, []Finding(nil)
	for _, b := range names {
		got, f := b.pick(env, v)
		if f != nil && !strings.Contains(f.Key, queueRedis) { // addQueueRedis tells of those at once
			found = append(found, *f)
		}
		if got.src.Name == "" {
			continue
		}
		for _, key := range b.keys {
			path := strings.Split(key, ".")
			if len(path) == 4 && known.at(path[:3]...) == nil && path[2] != queueRedis {
				continue
			}
			out.set(envNode(got), path...)
		}
	}
	out = out.prune(nil)
	return out, found
}

// envNode applies env()'s words; app.name and the like take null as "".
func envNode(v variable) *node {
	s, isNull := envWord(v.value)
	if isNull {
		return null(v.src)
	}
	return text(s, v.src)
}

// unknownVars warns of variables that look like settings of the queue but that
// nobody reads.
func (env environ) unknownVars(names []binding) []Finding {
	var known []string
	for _, b := range names {
		for _, e := range b.names {
			known = append(known, e.name)
		}
	}
	var found []Finding
	for _, name := range env.names() {
		ours := false
		for _, p := range []string{"QUEUE_", "REDIS_QUEUE_", "DB_QUEUE_", "SPOOL_WORKER_"} {
			ours = ours || strings.HasPrefix(name, p)
		}
		if !ours || slices.Contains(known, name) {
			continue
		}
		msg := name + " is not a variable that Spool or a stock Laravel reads, so it sets nothing"
		if n := nearest(name, known); len(n) > 0 {
			msg += "; did you mean " + strings.Join(n, " or ") + "?"
		}
		found = append(found, Finding{Warn, "", msg, env[name].src})
	}
	return found
}
