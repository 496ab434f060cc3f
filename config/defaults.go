package config

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// stock is what a fresh application of some version has in its config files,
// before the environment: the layer of defaults.
type stock struct {
	v    Version
	root string // the application's folder, absolute
	name string // what prefixes are made from
	src  Source
	tree *node
}

func (s *stock) set(key, value string) { s.tree.setKey(key, text(value, s.src)) }

func defaultSource(v Version) Source {
	if v == (Version{}) {
		return Source{Kind: FromDefault}
	}
	return Source{Kind: FromDefault, Name: "Laravel " + v.String()}
}

// stockTree returns the defaults of a version; name is what
// prefixes are made from.
func stockTree(v Version, root, name string) *node {
	s := &stock{v: v, root: root, name: name, src: defaultSource(v), tree: &node{}}
	s.set("laravel", v.String())
	s.set("stock_env", "true")
	s.app()
	s.queue()
	s.databases()
	s.redis()
	s.cache()
	s.worker()
	return s.tree
}

func (s *stock) laravel() bool { return s.v.Major > 0 }

// pathOf is a path inside a Laravel application, or Spool's own beside its file.
func (s *stock) pathOf(laravel, own string) string {
	if s.laravel() {
		return filepath.Join(s.root, filepath.FromSlash(laravel))
	}
	return filepath.Join(s.root, filepath.FromSlash(own))
}

func (s *stock) app() {
	s.set("app.name", map[bool]string{true: "Laravel", false: "Spool"}[s.laravel()])
	s.set("app.env", "production")
	s.set("app.cipher", "AES-256-CBC")
	s.set("app.timezone", "UTC")
	s.set("app.maintenance.driver", "file")
	s.set("app.maintenance.file", s.pathOf("storage/framework/down", "spool.down"))
}

// shippedRetryAfter is what config/queue.php ships; the framework itself falls
// back to 60 where the key is missing there.
const shippedRetryAfter = "90"

// defaultLease is shippedRetryAfter as a time.
const defaultLease = 90 * time.Second

func (s *stock) queue() {
	def := "database"
	if s.v.Before(11, 0) {
		def = "sync"
	}
	s.set("queue.default", def)
	for _, name := range []string{"sync", "null", "database", "redis"} {
		s.set("queue.connections."+name+".driver", name)
	}
	if s.laravel() {
		s.set("queue.connections.beanstalkd.driver", "beanstalkd")
		s.set("queue.connections.sqs.driver", "sqs")
		s.set("queue.connections.sqs.prefix", "https://sqs.us-east-1.amazonaws.com/your-account-id")
		if s.v.Before(8, 0) {
			s.set("queue.connections.sqs.queue", "your-queue-name")
		}
	} else {
		s.set("queue.connections.memory.driver", "memory")
	}
	if !s.v.Before(12, 0) {
		for _, name := range []string{"deferred", "background"} {
			s.set("queue.connections."+name+".driver", name)
		}
	}
	if s.laravel() && !s.v.Before(12, 0) {
		s.set("queue.connections.failover.driver", "failover")
		s.set("queue.connections.failover.connections", "database,deferred")
	}
	failed := "database-uuids"
	if s.v.Before(8, 0) {
		failed = "database"
	}
	s.set("queue.failed.driver", failed)
	s.set("queue.failed.table", "failed_jobs")
	s.set("queue.failed.path", s.pathOf("storage/framework/cache/failed-jobs.json", "spool-failed.json"))
	s.set("queue.failed.limit", "100")
	s.set("queue.batching.driver", "database")
	s.set("queue.batching.table", "job_batches")
}

func (s *stock) databases() {
	def, file := "sqlite", s.pathOf("database/database.sqlite", "spool.db")
	if s.v.Before(11, 0) {
		def = "mysql"
	}
	s.set("database.default", def)
	s.set("database.connections.sqlite.driver", "sqlite")
	s.set("database.connections.sqlite.database", file)
	if !s.laravel() {
		s.set("database.connections.sqlite.journal_mode", "wal")
	}
	name, user := "laravel", "root"
	switch {
	case !s.laravel():
		name, user = "spool", "spool"
	case s.v.Before(11, 0):
		name, user = "forge", "forge"
	}
	for _, c := range []string{"mysql", "mariadb", "pgsql"} {
		if c == "mariadb" && s.v.Before(11, 0) {
			continue
		}
		key := "database.connections." + c
		s.set(key+".driver", c)
		s.set(key+".database", name)
		s.set(key+".username", user)
	}
}

// redisPrefix is the stock prefix of keys for an application's name.
func redisPrefix(v Version, app string) string {
	switch {
	case v.Before(5, 8):
		return ""
	case v.Major == 0:
		return "spool:"
	case v.Before(newestMajor, 0):
		return slug(app, '_') + "_database_"
	}
	return slug(app, '-') + "-database-"
}

// otherRedisPrefix is the prefix that an application of the same version may
// have instead, as the skeleton changed meanwhile; ok says that there is one.
func otherRedisPrefix(v Version, app string) (prefix string, ok bool) {
	switch {
	case v == Version{5, 8}:
		return "", true
	case v.Major == 12:
		return slug(app, '-') + "-database-", true
	case v.Major >= newestMajor: // an upgraded application keeps its file
		return slug(app, '_') + "_database_", true
	}
	return "", false
}

// cachePrefix is the stock cache.prefix for an application's name.
func cachePrefix(v Version, app string) string {
	switch {
	case v.Major == 0:
		return "cache:"
	case v.Before(9, 0):
		return slug(app, '_') + "_cache"
	case v.Before(newestMajor, 0):
		return slug(app, '_') + "_cache_"
	}
	return slug(app, '-') + "-cache-"
}

// otherCachePrefix is otherRedisPrefix for cache.prefix.
func otherCachePrefix(v Version, app string) (prefix string, ok bool) {
	switch {
	case v.Major == 9:
		return slug(app, '_') + "_cache", true
	case v.Major == 12:
		return slug(app, '-') + "-cache-", true
	case v.Major >= newestMajor:
		return slug(app, '_') + "_cache_", true
	}
	return "", false
}

func (s *stock) redis() {
	s.set("database.redis.options.prefix", redisPrefix(s.v, s.name))
	if s.laravel() && !s.v.Before(5, 8) {
		s.set("database.redis.options.cluster", "redis")
	}
	s.set("database.redis.default.database", "0")
	s.set("database.redis.cache.database", "1")
}

func (s *stock) cache() {
	def := "database"
	if s.v.Before(11, 0) {
		def = "file"
	}
	s.set("cache.default", def)
	s.set("cache.prefix", cachePrefix(s.v, s.name))
	for _, name := range []string{"array", "null", "file", "database", "redis"} {
		s.set("cache.stores."+name+".driver", name)
	}
	conn := "cache"
	if s.v.Before(5, 7) {
		conn = "default"
	}
	s.set("cache.stores.redis.connection", conn)
	if !s.v.Before(8, 0) {
		s.set("cache.stores.redis.lock_connection", "default")
	}
}

func (s *stock) worker() {
	for key, v := range map[string]string{
		"name": "default", "concurrency": "10", "tries": "1", "timeout": "60", "grace": "25", "cancel_grace": "5",
		"max_stuck": "1", "max_keeps": "3", "sleep": "3", "rest": "0", "memory": "128", "max_jobs": "0", "max_time": "0",
		"stop_when_empty": "false", "stop_when_empty_for": "0", "force": "false", "fail_unknown": "false", "beside_php": "true", "exclusive_env": "false", "json": "false",
	} {
		s.tree.setKey("worker."+key, text(v, Source{Kind: FromDefault}))
	}
	s.tree.setKey("worker.backoff", text("0", Source{Kind: FromDefault}))
}

// driverDefaults returns what a queue connection of a driver has where nothing
// else is said.
func driverDefaults(driver string, src Source) *node {
	n := &node{src: src}
	set := func(key, value string) { n.put(key, text(value, src)) }
	switch driver {
	case "sync", "null", "deferred", "background", "failover", "sqs", "":
	default:
		set("retry_after", shippedRetryAfter)
	}
	switch driver {
	case "sync", "null", "deferred", "background", "failover", "":
	default:
		set("queue", "default")
	}
	switch driver {
	case "database":
		set("table", "jobs")
		set("after_commit", "false")
	case "redis":
		set("connection", "default")
		n.put("block_for", null(src))
		set("migration_batch_size", "-1")
		set("wait_replicas", "0")
		set("after_commit", "false")
	case "beanstalkd":
		set("host", "localhost")
		set("port", "11300")
		set("priority", "1024")
		set("timeout", "10")
		set("block_for", "0")
		set("after_commit", "false")
	case "deferred", "background":
		set("concurrency", "10")
		set("after_commit", "false")
	case "sqs":
		set("region", "us-east-1")
		set("deduplication", "unique")
		set("after_commit", "false")
		n.setKey("overflow.delete_after_processing", text("true", src))
	}
	return n
}

// databaseDefaults is driverDefaults of a database connection.
func databaseDefaults(driver string, src Source) *node {
	n := &node{src: src}
	set := func(key, value string) { n.put(key, text(value, src)) }
	switch driver {
	case "sqlite":
		set("synchronous", "full")
		set("busy_timeout", "30")
	case "mysql", "mariadb":
		set("host", "127.0.0.1")
		set("port", "3306")
		set("charset", "utf8mb4")
		set("collation", "utf8mb4_unicode_ci")
	case "pgsql":
		set("host", "127.0.0.1")
		set("port", "5432")
		set("charset", "utf8")
		set("search_path", "public")
		set("sslmode", "prefer")
	}
	return n
}

// redisDefaults is what a Redis connection has where nothing else is said.
func redisDefaults(src Source) *node {
	n := &node{src: src}
	for key, value := range map[string]string{"scheme": "tcp", "host": "127.0.0.1", "port": strconv.Itoa(6379), "database": "0"} {
		n.put(key, text(value, src))
	}
	return n
}

// storeDefaults is what a cache store of a driver has where nothing else is
// said.
func storeDefaults(driver, folder string, src Source) *node {
	n := &node{src: src}
	switch driver {
	case "database":
		n.put("table", text("cache", src))
		n.put("lock_table", text("cache_locks", src))
	case "redis":
		n.put("connection", text("default", src))
	case "file":
		n.put("path", text(folder, src))
	}
	return n
}

// foreignName explains names that Laravel has and Spool hasn't.
func foreignName(name string) string {
	switch strings.ToLower(name) {
	case "memcached", "dynamodb", "octane", "apc", "session", "mongodb", "storage":
		return " (a store that only PHP reads; define a store of this name in spool.yaml, e.g. with driver: database, and let queue:restart and locks of PHP use the same one)"
	case "sqlsrv":
		return " (SQL Server is not supported)"
	case "horizon":
		return " (Horizon works a redis connection: use driver redis)"
	case "topthink", "rabbitmq", "amqp", "kafka":
		return " (not supported)"
	}
	return ""
}
