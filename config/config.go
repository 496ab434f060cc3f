// Package config reads Spool's settings: the environment and the .env file of
// a Laravel application, spool.yaml, flags and the defaults of the Laravel
// version at hand, merged into one plain [Config] that remembers where each
// value came from.
//
// Keys are Laravel's own: queue.connections.redis.retry_after is what
// config('queue.connections.redis.retry_after') is in PHP, and spool.yaml
// nests the same names. A flag beats the environment, the environment beats
// spool.yaml, spool.yaml beats the defaults.
//
// It is strict: an unknown key, connection or driver is an error that names the
// file, the line and the nearest known name. It opens nothing and knows no
// driver: package connect turns a Config into open connections. It imports the
// standard library and a YAML parser only, keeps no state, and reads no
// environment but the one it is given.
package config

import (
	"fmt"
	"time"
)

// Config is the settings in force. It is plain data, safe to read from any
// number of goroutines; nobody changes it after [Load].
type Config struct {
	// Laravel is the version whose defaults apply: 8, 11, 5.8, or none (the zero
	// Version), which means that no Laravel application is involved.
	Laravel Version `key:"laravel"`
	// ThinkPHP is the version of the ThinkPHP application beside us, whose
	// variables and defaults apply: 5.0, 5.1, 6, 8; empty means none. 5.0.10 is
	// 5.0.0 to 5.0.10, whose file cache differs. A whole version (8.0.4) is
	// taken for the one of these that it is.
	ThinkPHP string `key:"thinkphp" enum:"5.0,5.0.10,5.1,6,8"`
	// StockEnv says whether Laravel's names in the environment (REDIS_HOST, …)
	// set what they set in a stock application. Without it the environment only
	// counts where spool.yaml says ${NAME}.
	StockEnv bool `key:"stock_env"`
	// App says which application this is.
	App App `key:"app"`
	// Default is the name of the queue connection used when none is named.
	Default string `key:"queue.default"`
	// Degrade is the name of the connection that every dispatch goes to instead
	// of its own while it is set: sync has all jobs run at once in their callers.
	Degrade string `key:"queue.degrade"`
	// PHPConnection is the connection of jobs that only PHP can run, such as the
	// closures that wait for the failure of a chain; empty is the default one.
	PHPConnection string `key:"queue.php_connection"`
	// PHPQueue is the queue of jobs that only PHP can run: one that its workers
	// work. If both are empty they go where what they belong to says.
	PHPQueue string `key:"queue.php_queue"`
	// Connections are the queue connections by name; see [Config.Connection].
	Connections map[string]*Connection `key:"queue.connections"`
	// Failed says where failed jobs are recorded.
	Failed Failed `key:"queue.failed"`
	// Batching says where batches are kept.
	Batching Batching `key:"queue.batching"`
	// DefaultDatabase is the name of the database used when none is named.
	DefaultDatabase string `key:"database.default"`
	// Databases are the database connections by name.
	Databases map[string]*Database `key:"database.connections"`
	// RedisOptions apply to all Redis connections. They are already merged into
	// Redis.
	RedisOptions RedisOptions `key:"database.redis.options"`
	// Redis are the Redis connections by name. The names options, client and
	// clusters are reserved.
	Redis map[string]*Redis `key:"database.redis"`
	// Cache says where signals (restart, pause), locks and counters are kept.
	Cache Cache `key:"cache"`
	// Worker holds the defaults of the flags of queue:work.
	Worker Worker `key:"worker"`
	// Jobs are the handlers of the stand-alone binary, first match wins.
	Jobs []Job `key:"jobs"`
	// Schedule are jobs that are dispatched at set times.
	Schedule []Scheduled `key:"schedule"`

	// Warnings are what Load found odd but could live with. [Check] repeats
	// them.
	Warnings []Finding `key:"-"`

	values map[string]given // by full key, of every value in force
	order  []string         // keys as Explain lists them
}

// App says which application the settings belong to.
type App struct {
	// Name is the application's name; prefixes are made from it.
	Name string `key:"name"`
	// Env is the environment's name: production, local, …
	Env string `key:"env"`
	// Key is the encryption key, base64: and all, as Laravel writes it.
	Key string `key:"key" secret:"true"`
	// PreviousKeys are keys that may still decrypt.
	PreviousKeys []string `key:"previous_keys" secret:"true"`
	// Cipher is Laravel's name of the cipher.
	Cipher string `key:"cipher"`
	// Timezone is the zone of the wall-clock times that PHP writes, e.g.
	// failed_jobs.failed_at.
	Timezone string `key:"timezone"`
	// Maintenance says how maintenance mode is told.
	Maintenance Maintenance `key:"maintenance"`
}

// Maintenance says how a worker learns of maintenance mode.
type Maintenance struct {
	// Driver is what tells it.
	Driver string `key:"driver" enum:"file,cache"`
	// Store is the cache store of the driver cache.
	Store string `key:"store"`
	// File is the path whose existence means maintenance, for the driver file.
	File string `key:"file" path:"true"`
}

// Connection is one queue connection.
type Connection struct {
	// Name is the key it stands under.
	Name string `key:"-"`
	// Driver is what holds the jobs: one of these, or one that the program adds
	// (see Options).
	Driver string `key:"driver" enum:"sync,null,memory,database,redis,beanstalkd,sqs,deferred,background,failover"`
	// Profile is what is stored: what Laravel does, or what think-queue does in
	// versions 1.1 to 2.0 (tq1), 3.0.2 to 3.0.4 (tq3-legacy), and since 3.0.5 (tq3).
	Profile string `key:"profile" enum:"laravel,tq1,tq3-legacy,tq3" for:"database,redis,sync"`
	// Version is think-queue's version, e.g. 3.0.4, where short names of jobs and
	// the columns of 3.0.2 depend on it; empty is the newest of the profile.
	Version string `key:"version" for:"database,redis,sync"`
	// Namespace is the namespace in which think-queue resolves short names.
	Namespace string `key:"namespace" for:"database,redis,sync"`
	// Connection is the name of the database (empty: the default one) or Redis
	// connection that holds the jobs.
	Connection string `key:"connection" for:"database,redis"`
	// Table is the table of the jobs.
	Table string `key:"table" for:"database"`
	// Queue is the queue used when none is named.
	Queue string `key:"queue"`
	// RetryAfter is the lease: a job whose worker is gone is tried again after
	// it. Live workers renew it. With null (nil) expired reservations are not
	// re-queued by this connection.
	RetryAfter *time.Duration `key:"retry_after" for:"database,redis,beanstalkd,sqs,memory,other"`
	// BlockFor is how long a worker blocks in the server for a job. With null
	// (nil) it doesn't block there; 0 blocks without limit.
	BlockFor *time.Duration `key:"block_for" for:"redis,beanstalkd"`
	// AfterCommit holds dispatches back until the transaction at hand commits.
	AfterCommit bool `key:"after_commit" for:"database,redis,beanstalkd,sqs,sync,deferred,background,other"`
	// MigrationBatch is how many due jobs are moved at once; -1 is all of them.
	MigrationBatch int `key:"migration_batch_size" for:"redis"`
	// WaitReplicas is how many replicas must have a job before a dispatch
	// returns, so that it outlives a fail-over; with 0 it doesn't wait.
	WaitReplicas int `key:"wait_replicas" for:"redis"`
	// Connections are the connections that a failover tries in order.
	Connections []string `key:"connections" for:"failover"`
	// Concurrency is how many jobs run at a time beside their callers.
	Concurrency int `key:"concurrency" for:"deferred,background"`
	// Host is the server's name.
	Host string `key:"host" for:"beanstalkd"`
	// Port is the server's TCP port.
	Port int `key:"port" for:"beanstalkd"`
	// Priority is that of the jobs that are pushed: smaller numbers come first.
	Priority int `key:"priority" for:"beanstalkd"`
	// Timeout is how long connecting may take.
	Timeout time.Duration `key:"timeout" for:"beanstalkd"`
	// Key is the AWS access key id; empty leaves it to the AWS default chain.
	Key string `key:"key" for:"sqs" secret:"true"`
	// Secret is the AWS secret access key.
	Secret string `key:"secret" for:"sqs" secret:"true"`
	// Token is the AWS session token.
	Token string `key:"token" for:"sqs" secret:"true"`
	// Region is the AWS region.
	Region string `key:"region" for:"sqs"`
	// Prefix is the queue URL up to the queue's name.
	Prefix string `key:"prefix" for:"sqs"`
	// Suffix is appended to queue names, before .fifo.
	Suffix string `key:"suffix" for:"sqs"`
	// Endpoint replaces the AWS endpoint.
	Endpoint string `key:"endpoint" for:"sqs"`
	// MessageGroup is the message group of jobs that name none. Empty is the
	// queue's name on FIFO queues, as in Laravel, and none on others.
	MessageGroup string `key:"message_group" for:"sqs"`
	// Deduplication says what FIFO queues know jobs by that name no deduplication
	// id: a new id each (unique), as in Laravel, or what is in them (content),
	// which the queue itself must be set to.
	Deduplication string `key:"deduplication" enum:"unique,content" for:"sqs"`
	// Overflow keeps payloads of 1 MiB and more, which SQS doesn't take, in a
	// cache store; PHP workers from Laravel 13 on find them there.
	Overflow bool `key:"overflow.enabled" for:"sqs"`
	// OverflowStore is that cache store; empty means the default one.
	OverflowStore string `key:"overflow.store" for:"sqs"`
	// OverflowAlways keeps every payload there, whatever its size.
	OverflowAlways bool `key:"overflow.always" for:"sqs"`
	// OverflowDelete removes a payload from there when its job is done.
	OverflowDelete bool `key:"overflow.delete_after_processing" for:"sqs"`
	// OverflowFlush empties that cache store when a queue is cleared, whatever
	// else is in it.
	OverflowFlush bool `key:"overflow.flush_on_clear" for:"sqs"`
	// Options are the settings of a driver that the program adds: names and
	// values of its own.
	Options map[string]string `key:"options" for:"other" secret:"true"`
}

// Failed says where failed jobs are recorded.
type Failed struct {
	// Driver is what holds the records; think is the table of think-queue 3, null
	// keeps none.
	Driver string `key:"driver" enum:"database-uuids,database,think,file,null"`
	// Database is the name of the database; empty means the default one.
	Database string `key:"database"`
	// Table is the table's name.
	Table string `key:"table"`
	// Path is the file of the driver file.
	Path string `key:"path" path:"true"`
	// Limit is how many jobs the driver file keeps.
	Limit int `key:"limit"`
}

// Batching says where batches are kept.
type Batching struct {
	// Driver is what holds the batches: database is Laravel's table, which PHP
	// shares; redis is for those without SQL; memory is for one process.
	Driver string `key:"driver" enum:"database,redis,memory"`
	// Connection is the Redis connection of the driver redis; empty means
	// "default".
	Connection string `key:"connection"`
	// Database is the name of the database; empty means the default one.
	Database string `key:"database"`
	// Table is the table's name.
	Table string `key:"table"`
}

// Worker holds the defaults of the flags of queue:work.
type Worker struct {
	// Name is the worker's name.
	Name string `key:"name"`
	// Queue are the queues in order of priority; empty: the connection's own.
	Queue []string `key:"queue"`
	// Concurrency is how many jobs run at a time in one process.
	Concurrency int `key:"concurrency"`
	// Tries is how many attempts a job has; 0 is any number.
	Tries int `key:"tries"`
	// Backoff is the wait before the next attempts, the last one repeating.
	Backoff []time.Duration `key:"backoff"`
	// Timeout is how long a job may run; 0 is any time.
	Timeout time.Duration `key:"timeout"`
	// Grace is how long running jobs may go on after SIGTERM before they are
	// cancelled and handed back.
	Grace time.Duration `key:"grace"`
	// CancelGrace is how long a handler has to return after its context ended
	// before it counts as stuck.
	CancelGrace time.Duration `key:"cancel_grace"`
	// MaxStuck is how many slots whose handler never returned are replaced
	// before the worker stops.
	MaxStuck int `key:"max_stuck"`
	// MaxKeeps is how often listeners may keep one job from failing.
	MaxKeeps int `key:"max_keeps"`
	// Sleep is the longest wait before an empty queue is looked at again.
	Sleep time.Duration `key:"sleep"`
	// Rest is the pause after each job.
	Rest time.Duration `key:"rest"`
	// Memory stops the worker at so many megabytes; 0 is never.
	Memory int `key:"memory"`
	// MaxJobs stops the worker after so many jobs; 0 is never.
	MaxJobs int `key:"max_jobs"`
	// MaxTime stops the worker after so long; 0 is never.
	MaxTime time.Duration `key:"max_time"`
	// StopWhenEmpty stops the worker when there is no job.
	StopWhenEmpty bool `key:"stop_when_empty"`
	// StopWhenEmptyFor stops the worker after so long without a job; 0 is never.
	StopWhenEmptyFor time.Duration `key:"stop_when_empty_for"`
	// Force works in maintenance mode too.
	Force bool `key:"force"`
	// Only are the names of the jobs to take; registered is every name that has a
	// handler; empty: all jobs.
	Only []string `key:"only"`
	// BesidePHP warns of jobs that only Go knows on a queue that PHP's workers take
	// from as well.
	BesidePHP bool `key:"beside_php"`
	// FailUnknown fails jobs whose name has no handler, instead of putting them
	// back.
	FailUnknown bool `key:"fail_unknown"`
	// ExclusiveEnv refuses to start beside workers of another application or
	// environment on the same queues, and has them refuse to start beside this.
	ExclusiveEnv bool `key:"exclusive_env"`
	// JSON prints one JSON object for each line of output.
	JSON bool `key:"json"`
}

// Job is a handler of the stand-alone binary: a command or a URL for the jobs
// of some names. Exactly one of Command, Shell and URL is set.
type Job struct {
	// Names are names of jobs; * stands for any characters.
	Names []string `key:"name"`
	// Command is a program and its arguments, run without a shell.
	Command []string `key:"command" split:"no"`
	// Shell is a line for the system's shell.
	Shell string `key:"shell"`
	// URL is posted the payload.
	URL string `key:"url" secret:"url"`
	// Headers are sent with the URL.
	Headers map[string]string `key:"headers" secret:"true"`
	// Dir is the folder the command starts in; empty: the one of spool.yaml.
	Dir string `key:"dir" path:"true"`
	// Env is added to the command's environment.
	Env map[string]string `key:"env" secret:"true"`
	// Tries is how many attempts a job has; unset leaves it to the worker, 0 is
	// any number.
	Tries *int `key:"tries"`
	// MaxExceptions fails a job after so many errors; 0 is never.
	MaxExceptions int `key:"max_exceptions"`
	// Timeout is how long a job may run; unset leaves it to the worker, 0 is any
	// time.
	Timeout *time.Duration `key:"timeout"`
	// Backoff is the wait before the next attempts; unset leaves it to the
	// worker.
	Backoff []time.Duration `key:"backoff"`
	// FailOnTimeout fails a job at its first timeout.
	FailOnTimeout bool `key:"fail_on_timeout"`
}

// Scheduled is a job that is dispatched at set times. Exactly one of Cron, Every
// and At is set.
type Scheduled struct {
	// Name is the entry's name in commands; empty: the name of the job.
	Name string `key:"name"`
	// Job is the name of the job.
	Job string `key:"job"`
	// Data is the job's data as JSON, in quotes; empty: {}.
	Data string `key:"data"`
	// Cron is a cron expression: minute, hour, day of the month, month, day of the
	// week.
	Cron string `key:"cron"`
	// Every is the time between two, counted from 1970 on: 1h is every full hour.
	Every time.Duration `key:"every"`
	// At is the moment of a job that is dispatched once: 2030-01-31 06:00 in the
	// zone, or 2030-01-31T06:00:00Z.
	At string `key:"at"`
	// Zone is the time zone, e.g. Europe/Berlin; empty: app.timezone.
	Zone string `key:"zone"`
	// Connection is where the job goes; empty: the default connection.
	Connection string `key:"connection"`
	// Queue is the job's queue; empty: the connection's own.
	Queue string `key:"queue"`
	// CatchUp is how many of the times at which nothing ran the schedule are made
	// up for later, at most. Unset is 0, and 1 for At.
	CatchUp *int `key:"catch_up"`
}

// Moment returns At on the clock of a zone.
func (s *Scheduled) Moment(zone *time.Location) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, s.At, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%.60q is no time: write 2030-01-31 06:00, or 2030-01-31T06:00:00Z", s.At)
}
