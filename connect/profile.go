package connect

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/redisqueue"
	"github.com/spoolq/spool/sqlqueue"
	"github.com/spoolq/spool/think"
)

// thinks says whether a connection stores what think-queue does.
func thinks(c *config.Connection) bool { return c.Profile != "" && c.Profile != "laravel" }

// formatOf returns the payload format of a connection.
func (s *Set) formatOf(c *config.Connection) (spool.Format, error) {
	if !thinks(c) {
		return s.format, nil
	}
	f, err := think.New(&think.Options{Profile: think.Profile(c.Profile), Version: c.Version, Namespace: c.Namespace})
	if err != nil {
		return nil, fmt.Errorf("connection %s: %w", c.Name, err)
	}
	return f, nil
}

// redisLayout returns what a connection stores in Redis.
func redisLayout(c *config.Connection) *redisqueue.Layout {
	switch think.Profile(c.Profile) {
	case think.TQ1:
		return new(redisqueue.ThinkQueue1())
	case think.TQ3Legacy:
		return new(redisqueue.ThinkQueue3Legacy())
	case think.TQ3:
		return new(redisqueue.ThinkQueue3())
	}
	return new(redisqueue.Laravel())
}

// tableLayout returns what a connection stores in its table.
func tableLayout(c *config.Connection) *sqlqueue.Layout {
	switch {
	case !thinks(c):
		return new(sqlqueue.Laravel())
	case think.Profile(c.Profile) == think.TQ1:
		return new(sqlqueue.ThinkQueue1())
	case c.Version == "3.0.2":
		return new(sqlqueue.ThinkQueue302())
	}
	return new(sqlqueue.ThinkQueue3())
}

// Restarts returns the names under which the workers of the queue connections
// in use are told to restart: of each framework that has some, once.
func (s *Set) Restarts() []string {
	var all []string
	for _, name := range s.Used() {
		key := spool.LaravelKeys().Restart
		if c, err := s.Config.Connection(name); err == nil && thinks(c) {
			key = think.Keys().Restart
		}
		if !slices.Contains(all, key) {
			all = append(all, key)
		}
	}
	return all
}

// How many jobs of each state CheckQueues looks at, and how long it may take.
const (
	probeJobs = 50
	probeTime = 5 * time.Second
)

// A MixedQueueError is a queue that holds jobs of another system than its
// connection's: two profiles on one queue, or the wrong one.
type MixedQueueError struct {
	Connection, Queue string
	Want, Have        think.Shape
	Jobs, Looked      int // of Looked jobs so many are of Have
}

func (e *MixedQueueError) Error() string {
	return fmt.Sprintf("connection %s: queue %s holds jobs of %s (%d of the %d looked at), but the connection is set to %s: workers of the two would miscount attempts and lose jobs; correct profile, or give each a queue, key prefix or Redis database of its own",
		e.Connection, e.Queue, e.Have, e.Jobs, e.Looked, e.Want)
}

// CheckQueues looks at some jobs of the queues (none: the connection's own) and
// returns a [*MixedQueueError] if another system has put them there; and, as
// advice, where else jobs of these names are.
func (s *Set) CheckQueues(ctx context.Context, connection string, queues ...string) (advice []string, err error) {
	c, err := s.Config.Connection(connection)
	if err != nil {
		return nil, err
	}
	conn, err := s.Manager.Connection(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	l, ok := conn.Driver().(driver.Lister)
	if !ok || c.Driver != "redis" && c.Driver != "database" {
		return nil, nil
	}
	if len(queues) == 0 {
		queues = []string{conn.Queue}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	want := think.ShapeLaravel
	if thinks(c) {
		want = think.Profile(c.Profile).Shape()
	}
	for _, q := range queues {
		if err := probe(ctx, l, &MixedQueueError{Connection: c.Name, Queue: q, Want: want}); err != nil {
			return nil, err
		}
		some, err := s.neighbours(ctx, c, q)
		if err != nil {
			return nil, err
		}
		advice = append(advice, some...)
	}
	return advice, nil
}

// probe returns e filled in if the queue holds jobs of another shape.
func probe(ctx context.Context, l driver.Lister, e *MixedQueueError) error {
	count := map[think.Shape]int{}
	for _, state := range []driver.State{driver.Pending, driver.Delayed, driver.Reserved} {
		entries, _, err := l.List(ctx, e.Queue, state, "", probeJobs)
		if err != nil {
			return err
		}
		e.Looked += len(entries)
		for _, entry := range entries {
			count[think.ShapeOf(entry.Body)]++
		}
	}
	for _, shape := range []think.Shape{think.ShapeLaravel, think.ShapeTQ1, think.ShapeTQ3} {
		if shape != e.Want && count[shape] > e.Jobs {
			e.Have, e.Jobs = shape, count[shape]
		}
	}
	if e.Jobs > 0 {
		return e
	}
	return nil
}

// neighbours says where another version of think-queue keeps jobs of the same
// queue: under keys with braces, or without.
func (s *Set) neighbours(ctx context.Context, c *config.Connection, queue string) ([]string, error) {
	other := redisqueue.ThinkQueue3()
	switch think.Profile(c.Profile) {
	case think.TQ3:
		other = redisqueue.ThinkQueue3Legacy()
	case think.TQ1, think.TQ3Legacy:
	default:
		return nil, nil
	}
	if c.Driver != "redis" {
		return nil, nil
	}
	name := redisName(c)
	client, err := s.Redis(ctx, name)
	if err != nil {
		return nil, err
	}
	conn, err := redisqueue.New(client, &redisqueue.Options{Prefix: s.Config.KeyPrefix(c), Layout: &other})
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	size, err := conn.Size(ctx, queue)
	if err != nil || size.Total() == 0 {
		return nil, err
	}
	return []string{fmt.Sprintf("%d jobs of queue %s are under %s%s%s, where think-queue of profile %s keeps them, and not this connection (%s): if that is the version beside us, correct profile",
		size.Total(), queue, other.Before, queue, other.After, other.Name, c.Profile)}, nil
}
