// Package connect turns settings into open things: connections, databases,
// Redis clients, the store of failed jobs, the cache. It is the only place
// that lists every driver. Everything is opened when it is first used.
package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/nullqueue"
	"github.com/spoolq/spool/redisqueue"
	"github.com/spoolq/spool/schedule"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqlqueue"
	"github.com/spoolq/spool/worker"
)

// Set is everything that a configuration describes. It is safe for concurrent
// use.
type Set struct {
	// Config is what the Set was made of.
	Config *config.Config
	// Manager holds the queue connections.
	Manager *spool.Manager
	// Client dispatches to them.
	Client *spool.Client
	// Mux holds the handlers.
	Mux *spool.Mux
	// Schedule dispatches jobs at set times: those of the settings, and what is
	// added to it before it is used.
	Schedule *schedule.Scheduler

	log     *slog.Logger
	format  spool.Format
	drivers map[string]OpenDriver

	databases shared[*sqldb.DB]
	redis     shared[rueidis.Client]
	stores    shared[Cache]
}

// Cache is a cache store with its locks.
type Cache interface {
	cache.Store
	cache.Locker
}

// Options are the options of [New].
type Options struct {
	// Mux holds the handlers; nil means none.
	Mux *spool.Mux
	// Events receives the events; nil means those of the Set's Manager.
	Events *spool.Events
	// Logger is for what an operator should know; nil means slog.Default().
	Logger *slog.Logger
	// Output receives what the commands of spool.yaml print, job by job; see
	// external.CommandOptions. nil drops it, but for the end of what a command
	// that failed has printed, which is in its error.
	Output func(job *spool.Job) (stdout, stderr io.WriteCloser)
	// Drivers are the drivers that the program adds, by the names that the
	// configuration was loaded with (config.Options.Drivers).
	Drivers map[string]OpenDriver
}

// OpenDriver opens a connection of a driver that the program adds, as the
// settings of the connection say: its Queue, RetryAfter and Options. The Set
// closes what it returns.
type OpenDriver func(ctx context.Context, c *config.Connection) (driver.Conn, error)

// New returns the Set of a configuration. It opens nothing; the error is that
// of a configuration that can't be meant. What is possible but may hurt is for
// [config.Check] to say.
func New(cfg *config.Config, opts *Options) (*Set, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	s := &Set{Config: cfg, Mux: o.Mux, log: o.Logger, drivers: o.Drivers}
	if s.Mux == nil {
		s.Mux = spool.NewMux()
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	var err error
	if s.format, err = newFormat(cfg); err != nil {
		return nil, err
	}
	if err := addJobs(s.Mux, cfg.Jobs, o.Output); err != nil {
		return nil, err
	}
	s.databases.open, s.redis.open, s.stores.open = s.openDatabase, s.openRedis, s.openStore
	s.databases.close = func(db *sqldb.DB) error { return db.Close() }
	s.redis.close = func(c rueidis.Client) error { c.Close(); return nil }
	s.Manager = spool.NewManager(&spool.ManagerOptions{Default: cfg.Default, Events: o.Events, Locks: s.later(), Signals: s.later()})
	for _, name := range connectionNames(cfg) {
		c, err := cfg.Connection(name)
		if err != nil {
			return nil, err
		}
		format, err := s.formatOf(c)
		if err != nil {
			return nil, err
		}
		if c.Driver == "failover" {
			s.Manager.Add(spool.ConnectionConfig{Name: name, Failover: c.Connections})
			continue
		}
		s.Manager.Add(spool.ConnectionConfig{
			Name: name, Queue: c.Queue, AfterCommit: c.AfterCommit, Format: format, Deferred: c.Driver == "deferred",
			Open: func(ctx context.Context) (driver.Conn, error) { return s.openQueue(ctx, c) },
		})
	}
	s.useBatches()
	s.Manager.Degrade(cfg.Degrade)
	s.tellFailovers()
	s.Client = spool.NewClient(s.Manager, nil)
	if err := s.addSchedule(); err != nil {
		return nil, err
	}
	return s, nil
}

// Load is [New] with the settings that this process finds: its environment, and
// spool.yaml and .env in the current folder, as the command line does.
func Load(opts *Options) (*Set, error) {
	o := &config.Options{Environ: os.Environ()}
	if opts != nil {
		o.Drivers = slices.Sorted(maps.Keys(opts.Drivers))
	}
	cfg, err := config.Load(o)
	if err != nil {
		return nil, err
	}
	return New(cfg, opts)
}

// connectionNames returns the names of the queue connections, and behind them
// those of databases, which work as connections too.
func connectionNames(cfg *config.Config) []string {
	names := slices.Sorted(maps.Keys(cfg.Connections))
	for _, name := range slices.Sorted(maps.Keys(cfg.Databases)) {
		if cfg.Connections[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// Close closes what was opened.
func (s *Set) Close() error {
	return errors.Join(s.Manager.Close(), s.databases.closeAll(), s.redis.closeAll())
}

// openQueue opens the backend of a queue connection.
func (s *Set) openQueue(ctx context.Context, c *config.Connection) (driver.Conn, error) {
	after := time.Duration(0)
	if c.RetryAfter != nil {
		after = *c.RetryAfter
	}
	keep := c.RetryAfter == nil
	switch c.Driver {
	case "null":
		return nullqueue.New(), nil
	case "sync", "background", "deferred":
		return s.openInline(c)
	case "memory":
		return memqueue.New(&memqueue.Options{RetryAfter: after, KeepExpired: keep}), nil
	case "database":
		db, err := s.Database(ctx, c.Connection)
		if err != nil {
			return nil, err
		}
		return sqlqueue.New(db, &sqlqueue.Options{Table: s.table(c.Connection, c.Table), Workers: s.table(c.Connection, workersBeside(c)), Layout: tableLayout(c), RetryAfter: after, KeepExpired: keep})
	case "redis":
		name := redisName(c)
		client, err := s.Redis(ctx, name)
		if err != nil {
			return nil, err
		}
		block := time.Duration(0)
		if c.BlockFor != nil {
			block = *c.BlockFor
		}
		return redisqueue.New(client, &redisqueue.Options{
			Prefix: s.Config.KeyPrefix(c), Layout: redisLayout(c), RetryAfter: after, KeepExpired: keep,
			BlockFor: block, MigrationBatch: c.MigrationBatch, WaitReplicas: c.WaitReplicas,
		})
	case "beanstalkd":
		return openBeanstalkd(ctx, c, after)
	case "sqs":
		return s.openSQS(ctx, c, after)
	}
	if open := s.drivers[c.Driver]; open != nil {
		return open(ctx, c)
	}
	return nil, fmt.Errorf("driver %q of connection %s is not built into this program", c.Driver, c.Name)
}

// redisName is the Redis connection of a queue connection.
func redisName(c *config.Connection) string { return cmp.Or(c.Connection, "default") }

// Failed returns the store of failed jobs, or nil where none are recorded.
func (s *Set) Failed(ctx context.Context) (failed.Store, error) {
	f := s.Config.Failed
	zone, err := s.location()
	if err != nil {
		return nil, err
	}
	switch f.Driver {
	case "null":
		return nil, nil //nolint:nilnil // nothing is recorded, and that is no error
	case "file":
		o := &failed.FileOptions{Limit: f.Limit, Location: zone}
		if s.Config.Laravel.Major > 0 { // PHP writes the file too, under this lock
			if o.Lock, err = s.Cache(ctx); err != nil {
				return nil, fmt.Errorf("cache, whose lock guards the file: %w", err)
			}
		}
		return failed.NewFile(f.Path, o), nil
	}
	db, err := s.Database(ctx, f.Database)
	if err != nil {
		return nil, err
	}
	o := &failed.SQLOptions{Table: s.table(f.Database, f.Table), Location: zone}
	switch f.Driver {
	case "database":
		o.Columns = failed.IDColumns()
	case "think":
		o.Columns = failed.ThinkColumns()
	}
	return failed.NewSQL(db, o), nil
}

func (s *Set) location() (*time.Location, error) {
	zone := cmp.Or(s.Config.App.Timezone, "UTC")
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("app.timezone %q: %w", zone, err)
	}
	return loc, nil
}

// Cache returns the cache store in use: where restart, pause, locks and
// counters are.
func (s *Set) Cache(ctx context.Context) (Cache, error) {
	return s.stores.get(ctx, s.Config.Cache.Default)
}

// WorkerOptions returns the options of a worker as configured.
func (s *Set) WorkerOptions(ctx context.Context) (*worker.Options, error) {
	w := s.Config.Worker
	store, err := s.Failed(ctx)
	if err != nil {
		return nil, fmt.Errorf("failed jobs: %w", err)
	}
	signals, err := s.Cache(ctx)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	only, err := s.only()
	if err != nil {
		return nil, err
	}
	return &worker.Options{
		Only: only,
		Name: w.Name, Queues: w.Queue, Concurrency: w.Concurrency,
		Policy: spool.Policy{Tries: new(w.Tries), Timeout: new(w.Timeout), Backoff: w.Backoff},
		Sleep:  orNegative(w.Sleep), Rest: w.Rest, StopWhenEmpty: w.StopWhenEmpty, StopWhenEmptyFor: w.StopWhenEmptyFor,
		MaxJobs: w.MaxJobs, MaxTime: w.MaxTime, Memory: uint64(max(w.Memory, 0)) << 20, Force: w.Force,
		Grace: w.Grace, CancelGrace: w.CancelGrace, MaxStuck: orNegative(w.MaxStuck), MaxKeeps: orNegative(w.MaxKeeps),
		FailUnknown: w.FailUnknown, Failed: store, Signals: signals, Maintenance: s.Maintenance(), Logger: s.log,
		Identity: s.Identity(),
	}, nil
}

// orNegative turns a configured 0 into the "none" of worker.Options, whose 0
// is the default.
func orNegative[T int | time.Duration](n T) T {
	if n == 0 {
		return -1
	}
	return n
}

// shared opens things by name, each once. A failure is not kept: the next use
// tries again.
type shared[T any] struct {
	open  func(ctx context.Context, name string) (T, error)
	close func(T) error

	mu   sync.Mutex
	have map[string]T
}

func (s *shared[T]) get(ctx context.Context, name string) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.have[name]; ok {
		return v, nil
	}
	v, err := s.open(ctx, name)
	if err != nil {
		return v, err
	}
	if s.have == nil {
		s.have = make(map[string]T)
	}
	s.have[name] = v
	return v, nil
}

func (s *shared[T]) closeAll() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, v := range s.have {
		errs = append(errs, s.close(v))
	}
	s.have = nil
	return errors.Join(errs...)
}
