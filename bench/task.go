package main

import (
	"context"
	"time"
)

// Kinds of a task.
const (
	push    = "push"    // store Jobs jobs, one call each, from Width goroutines
	bulk    = "bulk"    // store Jobs jobs by the contestant's bulk call, Width at a time
	drain   = "drain"   // run the Jobs jobs that are stored, to their end
	latency = "latency" // run jobs while pushing Jobs of them, Every apart
)

// task is what a contestant is to do once. It is plain data, so that it can be
// sent to another process.
type task struct {
	Kind string `json:"kind"`
	Jobs int    `json:"jobs"`
	// Width is the contestant's setting for this kind: goroutines of a push,
	// jobs a call of bulk, jobs at a time of a drain (of a raw store: rows or
	// members taken in one call).
	Width int `json:"width"`
	// Work is how long each handler sleeps.
	Work time.Duration `json:"work"`
	// Every is the time between two pushes of latency. With Idle it is random
	// between half and one and a half of it, so that a worker has nothing to do
	// before each job; without, pushes come at a steady rate.
	Every time.Duration `json:"every"`
	Idle  bool          `json:"idle"`
	// Local pushes on the worker's own connection, as a program that dispatches
	// to itself does. Without it the producer's connection is one of its own, as
	// if it were another process.
	Local bool `json:"local"`
}

// result is what came of a task.
type result struct {
	// Elapsed is from the first call to the last job's end being stored.
	Elapsed time.Duration `json:"elapsed"`
	// Latencies are from just before the push to the first line of the handler.
	Latencies []time.Duration `json:"latencies,omitempty"`
}

// player is a contestant that is connected to a store. It is used by one
// goroutine.
type player interface {
	// run does a task and checks that each job was stored, or run exactly once.
	run(ctx context.Context, t task) (result, error)
	// reset removes every job.
	reset(ctx context.Context) error
	// close disconnects. The counters of a server may be complete only then.
	close() error
}

// contestant is a way to move jobs.
type contestant struct {
	name string
	// about says in one line what is run, with its settings.
	about func(*store) string
	// widths are the settings to try for a kind of task; the best is kept. None
	// means that the contestant takes no part in it.
	widths func(s *store, c *testcase) []int
	open   func(ctx context.Context, s *store) (player, error)
}

// testcase is one row of the table.
type testcase struct {
	name  string
	about string
	task  task // without Jobs and, where contestants choose it, Width
	// only names the stores for which the case says something of its own.
	only func(*store) bool
}

func (c *testcase) drains() bool { return c.task.Kind == drain }

func cases() []*testcase {
	return []*testcase{
		{name: "push-1", about: "push one at a time, 1 goroutine", task: task{Kind: push, Width: 1}},
		{name: "push-16", about: "push one at a time, 16 goroutines", task: task{Kind: push, Width: 16}},
		{name: "bulk", about: "push 1,000 a call", task: task{Kind: bulk, Width: 1000}},
		{name: "drain", about: "drain no-op jobs, best setting", task: task{Kind: drain}},
		{name: "drain-1ms", about: "drain jobs that sleep 1 ms, 100 at a time", task: task{Kind: drain, Width: 100, Work: time.Millisecond}},
		{name: "idle", about: "push to handler start, worker idle, producer on a connection of its own",
			task: task{Kind: latency, Every: 100 * time.Millisecond, Idle: true}},
		{name: "idle-local", about: "the same, dispatched on the worker's connection",
			task: task{Kind: latency, Every: 100 * time.Millisecond, Idle: true, Local: true},
			only: func(s *store) bool { return s.family == mysqlStore || s.family == pgsqlStore }},
		{name: "500/s", about: "push to handler start at 500 jobs/s, producer on a connection of its own",
			task: task{Kind: latency, Every: 2 * time.Millisecond}},
	}
}

// contestants lists everybody; the first is the one that the ratios are of.
func contestants() []*contestant {
	return []*contestant{spoolContestant(), rawContestant(), verbsContestant()}
}
