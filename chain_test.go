package spool_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/retry"
	"github.com/spoolq/spool/syncqueue"
	"github.com/spoolq/spool/think"
	"github.com/spoolq/spool/worker"
)

// step is a link of the chains of these tests.
type step struct {
	Name string `json:"name"`
}

// alarm is told when one fails.
type alarm struct {
	To string `json:"to"`
}

// podium is an application whose jobs note that they ran.
type podium struct {
	manager *spool.Manager
	client  *spool.Client
	mux     *spool.Mux
	store   failed.Store

	ran   []string // "a", in the order in which they ran
	jobs  []*spool.Job
	told  []spool.Caught
	fails map[string]error // what a step returns; nil: it succeeds
	then  func(ctx context.Context, name string) error
}

func newPodium(t *testing.T, format spool.Format, conns map[string]driver.Conn) *podium {
	t.Helper()
	p := &podium{manager: spool.NewManager(&spool.ManagerOptions{Default: "mem", Locks: cache.NewMemory(), Signals: cache.NewMemory()}), mux: spool.NewMux(), fails: map[string]error{}}
	if conns["mem"] == nil {
		conns["mem"] = memqueue.New(&memqueue.Options{RetryAfter: 10 * time.Second})
	}
	for name, conn := range conns {
		p.manager.Add(spool.ConnectionConfig{Name: name, Format: format, Open: func(context.Context) (driver.Conn, error) { return conn, nil }})
	}
	p.client = spool.NewClient(p.manager, nil)
	p.store = failed.NewFile(filepath.Join(t.TempDir(), "failed.json"), nil)
	spool.Handle(p.mux, func(ctx context.Context, s step) error {
		p.note(ctx, s.Name)
		if p.then != nil {
			if err := p.then(ctx, s.Name); err != nil {
				return err
			}
		}
		return p.fails[s.Name]
	})
	spool.Handle(p.mux, func(ctx context.Context, a alarm) error {
		p.note(ctx, "alarm "+a.To)
		caught, ok := spool.CaughtFrom(ctx)
		if !ok {
			t.Error("an alarm that was told nothing")
		}
		p.told = append(p.told, caught)
		return nil
	})
	return p
}

func (p *podium) note(ctx context.Context, name string) {
	p.ran = append(p.ran, name)
	p.jobs = append(p.jobs, spool.JobFrom(ctx))
}

// work runs a worker of these queues for d.
func (p *podium) work(t *testing.T, d time.Duration, queues ...string) {
	t.Helper()
	conn, err := p.manager.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	o := &worker.Options{Queues: queues, Concurrency: 1, Failed: p.store, Grace: time.Second, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if _, err := worker.New(conn, p.mux, o).Run(ctx); err != nil {
		t.Error(err)
	}
}

func (p *podium) expect(t *testing.T, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, p.ran); d != "" {
		t.Errorf("what ran (-want +got)\n%s", d)
	}
	p.ran = nil
}

func (p *podium) records(t *testing.T) []failed.Record {
	t.Helper()
	recs, _, err := p.store.List(t.Context(), failed.Filter{}, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

func dispatched(t *testing.T, c *spool.Chain, opts ...spool.DispatchOption) spool.Ref {
	t.Helper()
	ref, err := c.Dispatch(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestAChainRunsInItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPodium(t, nil, map[string]driver.Conn{})
		begun := time.Now()
		ref := dispatched(t, p.client.Chain(
			step{"b"},
			spool.With(step{"c/中"}, spool.OnQueue("slow"), spool.Delay(time.Hour), spool.Tries(7), spool.Backoff(time.Second, time.Minute),
				spool.Timeout(time.Minute), spool.DisplayName("Sea"), spool.Extra("tags", []string{"x"}), spool.OnGroup("g")),
			spool.WithName("step", json.RawMessage(`{"name":"d"}`), spool.At(begun.Add(3*time.Hour))),
		).OnQueue("pod").Prepend(step{"a"}).Append(step{"e"}), spool.Delay(time.Minute))
		p.work(t, 5*time.Hour, "pod", "slow")
		p.expect(t, "a", "b", "c/中", "d", "e")

		seen := map[string]bool{}
		for i, job := range p.jobs {
			info, err := spool.ChainOf(job.Payload)
			if err != nil || info == nil || info.ID != ref.UUID || info.At != i || len(info.Next) != 4-i || len(info.Catch) != 0 {
				t.Errorf("link %d knows %+v, %v", i, info, err)
			}
			seen[job.UUID] = true
		}
		if len(seen) != 5 || p.jobs[0].UUID != ref.UUID {
			t.Errorf("uuids %v of chain %s", seen, ref.UUID)
		}
		c := p.jobs[2]
		if pol := c.Payload.Policy; c.Queue != "slow" || *pol.Tries != 7 || len(pol.Backoff) != 2 || *pol.Timeout != time.Minute ||
			c.DisplayName() != "Sea" || c.Payload.Delay != time.Hour || c.Payload.Group != "g" || !strings.Contains(string(c.Body), `"tags":["x"]`) {
			t.Errorf("the options of a link are lost: %s", c.Body)
		}
		if e := p.jobs[4]; e.Queue != "pod" || e.Payload.Policy.Tries != nil || e.Payload.Delay != 0 {
			t.Errorf("a link has the options of another: %s", e.Body)
		}
		if took := time.Since(begun); len(p.records(t)) != 0 || took < 3*time.Hour {
			t.Errorf("%d failed, after %v", len(p.records(t)), took)
		}
	})
}

func TestALinkThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPodium(t, nil, map[string]driver.Conn{})
		p.fails["b"] = errors.New("缺货")
		ref := dispatched(t, p.client.Chain(step{"a"}, spool.With(step{"b"}, spool.Tries(2)), step{"c"}).
			Catch(alarm{"ann"}, spool.With(alarm{"bob"}, spool.Delay(time.Second))))
		p.work(t, time.Minute)
		p.expect(t, "a", "b", "b", "alarm ann", "alarm bob")
		b := p.jobs[1]
		want := spool.Caught{Chain: ref.UUID, UUID: b.UUID, Name: "step", Connection: "mem", Queue: "default", Attempt: 2, Error: "缺货"}
		if d := cmp.Diff([]spool.Caught{want, want}, p.told); d != "" {
			t.Errorf("told (-want +got)\n%s", d)
		}

		// The record of the failed link has the rest of the chain: a retry goes on.
		recs := p.records(t)
		if len(recs) != 1 || recs[0].UUID != b.UUID {
			t.Fatalf("recorded %+v", recs)
		}
		again := func() {
			t.Helper()
			if err := retry.All(t.Context(), p.manager, p.store, failed.Filter{}, nil); err != nil {
				t.Fatal(err)
			}
			p.work(t, time.Minute)
		}
		p.fails = map[string]error{"c": spool.Fail(errors.New("broken"))}
		again()
		p.expect(t, "b", "c", "alarm ann", "alarm bob")
		p.fails = nil
		again()
		p.expect(t, "c")
		if n := len(p.records(t)); n != 0 {
			t.Errorf("%d records left", n)
		}
	})
}

func TestLinksAddedFromInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPodium(t, nil, map[string]driver.Conn{})
		p.then = func(ctx context.Context, name string) error {
			if name != "a" {
				return nil
			}
			job := &step{"p1"}
			err := errors.Join(
				spool.PrependToChain(ctx, job, step{"p2"}),
				spool.AppendToChain(ctx, step{"z1"}),
				spool.PrependToChain(ctx, spool.With(step{"first"}, spool.Delay(time.Second))),
				spool.AppendToChain(ctx, step{"z2"}))
			job.Name = "changed later"
			if err == nil && spool.JobFrom(ctx).Attempt == 1 {
				err = errors.New("this attempt adds nothing")
			}
			return err
		}
		dispatched(t, p.client.Chain(spool.With(step{"a"}, spool.Tries(2)), step{"b"}))
		p.work(t, time.Minute)
		p.expect(t, "a", "a", "first", "p1", "p2", "b", "z1", "z2")

		// A job without a chain begins one.
		ref, err := spool.Dispatch(t.Context(), p.client, step{"a"}, spool.Tries(2))
		if err != nil {
			t.Fatal(err)
		}
		p.jobs = nil
		p.work(t, time.Minute)
		p.expect(t, "a", "a", "first", "p1", "p2", "z1", "z2")
		if info, err := spool.ChainOf(p.jobs[2].Payload); err != nil || info.ID != ref.UUID || info.At != 1 {
			t.Errorf("%+v, %v", info, err)
		}
	})
	if err := spool.AppendToChain(t.Context(), step{"a"}); err == nil {
		t.Error("a chain of no job was changed")
	}
}

// A chain that can't go on fails the link that is done, so that nothing is lost
// without a word.
func TestALinkThatCannotBeDispatched(t *testing.T) {
	for name, c := range map[string]struct {
		link any
		says string
	}{
		"no such connection": {spool.With(step{"b"}, spool.OnConnection("nowhere")), `connection "nowhere" is not configured`},
		"too large":          {spool.With(step{strings.Repeat("x", 500)}, spool.OnConnection("small")), "600"},
		"its lock is taken":  {spool.With(step{"b"}, spool.Unique("b")), "another job has its lock"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPodium(t, nil, map[string]driver.Conn{"small": &limited{Conn: memqueue.New(nil), most: 600}})
				if _, err := spool.Dispatch(t.Context(), p.client, step{"b"}, spool.Unique("b"), spool.OnQueue("elsewhere")); err != nil {
					t.Fatal(err)
				}
				dispatched(t, p.client.Chain(step{"a"}, c.link, step{"c"}).Catch(alarm{"ann"}))
				p.work(t, time.Minute)
				p.expect(t, "a", "alarm ann")
				recs := p.records(t)
				if len(recs) != 1 || !strings.Contains(recs[0].Exception, c.says) || !strings.Contains(recs[0].Exception, "the job is done, but not what follows it") {
					t.Errorf("recorded %+v", recs)
				}
				body, err := spool.Native.Decode(recs[0].Payload)
				if err != nil {
					t.Fatal(err)
				}
				if info, err := spool.ChainOf(body); err != nil || len(info.Next) != 2 {
					t.Errorf("the record has lost the chain: %+v, %v", info, err)
				}
			})
		})
	}
}

// limited is a connection that takes small bodies only.
type limited struct {
	*memqueue.Conn
	most int
}

func (l *limited) Traits() driver.Traits {
	t := l.Conn.Traits()
	t.MaxBody = l.most
	return t
}

func (l *limited) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	if err := l.Traits().Check(ms); err != nil {
		return nil, err
	}
	return l.Conn.Push(ctx, queue, ms)
}

func TestChainsThatAreRefused(t *testing.T) {
	p := newPodium(t, nil, map[string]driver.Conn{"small": &limited{Conn: memqueue.New(nil), most: 1 << 16}})
	many := make([]any, 1000)
	for i := range many {
		many[i] = step{fmt.Sprintf("step %d of a thousand", i)}
	}
	for says, chain := range map[string]*spool.Chain{
		"without links":             p.client.Chain(),
		"has no name of its own":    p.client.Chain(struct{}{}),
		"link behind it: number 2":  p.client.Chain(step{}, step{}, map[string]int{}),
		"catch: number 1":           p.client.Chain(step{}).Catch(nil),
		`encode "data"`:             p.client.Chain(step{}, spool.WithName("c", make(chan int))),
		"can't be debounced":        p.client.Chain(step{}, spool.With(step{}, spool.Debounce(time.Second, "x"))),
		"of 1000 links, is too lar": p.client.Chain(many...).OnConnection("small"),
		"PHP":                       p.client.Chain(step{}, phpJob{}),
	} {
		if _, err := chain.Dispatch(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
	if names, err := conn(t, p.manager, "mem").Queues(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("something was dispatched: %v, %v", names, err)
	}
	// Where it fits, it runs.
	if testing.Short() {
		many = many[:100]
	}
	dispatched(t, p.client.Chain(many...))
	for i := 0; len(p.ran) < len(many) && i < 100; i++ {
		p.work(t, time.Second)
	}
	if len(p.ran) != len(many) || p.ran[len(many)-1] != many[len(many)-1].(step).Name {
		t.Errorf("%d links ran", len(p.ran))
	}
}

func conn(t *testing.T, m *spool.Manager, name string) *spool.Connection {
	t.Helper()
	c, err := m.Connection(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// phpJob stands for a job that keeps its chain in a form of its own.
type phpJob struct{}

func (phpJob) Chain() spool.Chained { return otherForm{} }

type otherForm struct{ spool.Chained }

// Jobs of these tests are named as their types, but for data given raw.
func (step) JobName() string { return "step" }

// On a connection that runs jobs at once, so does the chain.
func TestAChainInItsCaller(t *testing.T) {
	for _, begin := range []string{"sync", "mem"} {
		t.Run(begin, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var run func(ctx context.Context, queue string, body []byte) error
				p := newPodium(t, nil, map[string]driver.Conn{
					"sync": syncqueue.New(func(ctx context.Context, queue string, body []byte) error { return run(ctx, queue, body) }),
				})
				run = worker.Inline("sync", p.mux, nil, p.manager.Events(), &worker.Options{Followers: p.manager.Followers()})
				var processed, failures []string
				spool.Listen(p.manager.Events(), func(_ context.Context, e spool.JobProcessed) { processed = append(processed, e.Job.Connection) })
				spool.Listen(p.manager.Events(), func(_ context.Context, e spool.JobFailed) { failures = append(failures, e.Job.Connection) })
				chain := func() *spool.Chain {
					return p.client.Chain(spool.With(step{"a"}, spool.OnConnection(begin)), step{"b"}, step{"c"}).OnConnection("sync").Catch(alarm{"ann"})
				}
				// Longer than a follower may take.
				p.then = func(ctx context.Context, name string) error {
					time.Sleep(20 * time.Second)
					return ctx.Err()
				}
				dispatched(t, chain())
				p.work(t, 5*time.Minute)
				p.expect(t, "a", "b", "c")

				processed = nil
				p.fails["c"] = errors.New("缺货")
				_, err := chain().Dispatch(t.Context())
				p.work(t, 5*time.Minute)
				p.expect(t, "a", "b", "c", "alarm ann")
				if begin == "sync" {
					link, ok := errors.AsType[*spool.LinkError](err)
					if !ok || link.Name != "step" || link.UUID != p.jobs[5].UUID || !errors.Is(err, p.fails["c"]) {
						t.Errorf("the caller is told %v", err)
					}
					// The links before it are done.
					if !slices.Equal(processed, []string{"sync", "sync", "sync"}) || !slices.Equal(failures, []string{"sync"}) {
						t.Errorf("processed %v, failed %v", processed, failures)
					}
				} else if recs := p.records(t); err != nil || len(recs) != 1 || !strings.Contains(recs[0].Exception, "缺货") {
					t.Errorf("recorded %+v, %v", recs, err)
				}
			})
		})
	}
}

// The chain travels where the format has room for it.
func TestAChainInOtherFormats(t *testing.T) {
	for name, o := range map[string]*think.Options{"tq1": {Profile: think.TQ1}, "tq3": {Profile: think.TQ3}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				format, err := think.New(o)
				if err != nil {
					t.Fatal(err)
				}
				p := newPodium(t, format, map[string]driver.Conn{})
				p.fails["c"] = errors.New("no")
				dispatched(t, p.client.Chain(step{"a"}, step{"b"}, step{"c"}, step{"d"}).Catch(alarm{"ann"}))
				p.work(t, time.Minute)
				p.expect(t, "a", "b", "c", "alarm ann")
				if p.told[0].Chain == "" || p.told[0].UUID != p.jobs[2].UUID {
					t.Errorf("told %+v", p.told)
				}
			})
		})
	}
}

// A PHP worker that meets the job on Redis writes its objects anew.
func TestAChainThatWasWrittenAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPodium(t, nil, map[string]driver.Conn{})
		dispatched(t, p.client.Chain(step{"a"}, step{"b"}).Catch(alarm{"ann"}))
		c := conn(t, p.manager, "mem")
		entries, _, err := c.List(t.Context(), "", driver.Pending, "", 1)
		if err != nil {
			t.Fatal(err)
		}
		var tree map[string]any
		if err := json.Unmarshal(entries[0].Body, &tree); err != nil {
			t.Fatal(err)
		}
		tree["spoolChain"].(map[string]any)["more"] = map[string]any{} // of a newer version
		body, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Clear(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := c.PushRaw(t.Context(), "", body, 0); err != nil {
			t.Fatal(err)
		}
		p.work(t, time.Minute)
		p.expect(t, "a", "b")
	})
}

// What is no chain does not pass for one that has come to its end.
func TestAChainThatCannotBeRead(t *testing.T) {
	for name, chain := range map[string]string{
		"no list of links": `{"id":"1","next":3}`, "no link": `{"id":"1","next":["{"]}`, "no job": `{"id":"1","next":["{\"data\":1}"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPodium(t, nil, map[string]driver.Conn{})
				if _, err := spool.Dispatch(t.Context(), p.client, step{"a"}, spool.Extra("spoolChain", json.RawMessage(chain))); err != nil {
					t.Fatal(err)
				}
				p.work(t, time.Minute)
				p.expect(t, "a")
				if recs := p.records(t); len(recs) != 1 {
					t.Errorf("recorded %+v", recs)
				}
				if _, err := spool.ChainOf(p.jobs[0].Payload); err == nil {
					t.Error("it was read")
				}
			})
		})
	}
}

// The first link is dispatched with a transaction, or not at all.
func TestAChainInATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, commits := range []bool{false, true} {
			p := newPodium(t, nil, map[string]driver.Conn{})
			tx := p.client.InTx(fakeTx{})
			if ref := dispatched(t, tx.Chain(step{"a"}, step{"b"})); ref.UUID == "" {
				t.Error("no uuid")
			}
			end, want := tx.Rollback, []string(nil)
			if commits {
				end, want = tx.Commit, []string{"a", "b"}
			}
			if err := end(t.Context()); err != nil && commits { // this one can't be rolled back
				t.Fatal(err)
			}
			p.work(t, time.Minute)
			p.expect(t, want...)
		}
	})
}

// A job without a chain pays nothing for chains.
func TestNoChainCostsNothing(t *testing.T) {
	p := newPodium(t, nil, map[string]driver.Conn{})
	p.manager.Followers().Add(func(context.Context, *spool.Job, error) error { return nil })
	job := &spool.Job{Payload: &spool.Payload{}}
	n := 0
	if allocs := testing.AllocsPerRun(100, func() { n += len(p.manager.Followers().For(job)) }); allocs != 0 || n == 0 {
		t.Errorf("%v allocations, %d followers", allocs, n)
	}
}
