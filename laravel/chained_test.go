package laravel_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/laravel/phpserial"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

// pod is an application of class jobs on a queue in memory.
type pod struct {
	client *spool.Client
	conn   *spool.Connection
	format *laravel.Format
	mux    *spool.Mux
	ran    []string
	jobs   []*spool.Job
	fails  string
	then   func(ctx context.Context) error
}

func newPod(t *testing.T, o *laravel.Options) *pod {
	t.Helper()
	p := &pod{format: newFormat(t, o), mux: spool.NewMux()}
	mem := memqueue.New(nil)
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "mem", Format: p.format, Open: func(context.Context) (driver.Conn, error) { return mem, nil }})
	var err error
	if p.conn, err = m.Connection(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	p.client = spool.NewClient(m, nil)
	p.mux.HandleFunc(`App\Jobs\Simple`, func(ctx context.Context, job *spool.Job) error {
		var v struct{ Name string }
		if err := job.Decode(&v); err != nil {
			return err
		}
		p.ran = append(p.ran, job.Queue+" "+v.Name)
		p.jobs = append(p.jobs, job)
		if v.Name == p.fails {
			return errors.New("缺货\xff")
		}
		if p.then != nil {
			return p.then(ctx)
		}
		return nil
	})
	return p
}

func (p *pod) work(t *testing.T, queues ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o := &worker.Options{Queues: queues, Concurrency: 1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if _, err := worker.New(p.conn, p.mux, o).Run(ctx); err != nil {
		t.Error(err)
	}
}

// waiting returns the commands that wait on a queue.
func (p *pod) waiting(t *testing.T, queue string) []*laravel.Command {
	t.Helper()
	entries, _, err := p.conn.List(t.Context(), queue, driver.Pending, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	commands := make([]*laravel.Command, len(entries))
	for i, e := range entries {
		payload, err := p.format.Decode(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		if commands[i], err = laravel.CommandOf(payload); err != nil {
			t.Fatal(err)
		}
	}
	return commands
}

// The command is what Laravel 13 writes for the same chain.
func TestAChainOfCommandsIsLaravels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, nil)
		links := []any{simple(1, "a"), simple(2, "b"), *simple(3, "c")}
		ref, err := p.client.Chain(links...).OnQueue("pod").Dispatch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const want = `O:15:"App\Jobs\Simple":5:{s:2:"id";i:1;s:7:"#*#name";s:1:"a";s:5:"queue";s:3:"pod";s:7:"chained";a:2:{i:0;s:62:"O:15:"App\Jobs\Simple":2:{s:2:"id";i:2;s:7:"#*#name";s:1:"b";}";i:1;s:62:"O:15:"App\Jobs\Simple":2:{s:2:"id";i:3;s:7:"#*#name";s:1:"c";}";}s:10:"chainQueue";s:3:"pod";}`
		if got := serialize(t, p.waiting(t, "pod")[0]); got != strings.ReplaceAll(want, "#", "\x00") {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if got := serialize(t, links[0].(*laravel.Command)); strings.Contains(got, "chained") {
			t.Errorf("the command that was given is changed: %q", got)
		}
		p.work(t, "pod")
		if d := cmp.Diff([]string{"pod a", "pod b", "pod c"}, p.ran); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
		for i, job := range p.jobs {
			info, err := spool.ChainOf(job.Payload)
			if err != nil || info.ID != ref.UUID || info.At != i || len(info.Next) != 2-i {
				t.Errorf("link %d knows %+v, %v", i, info, err)
			}
		}
	})
}

func TestOptionsOfLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, nil)
		begun := time.Now()
		p.then = func(ctx context.Context) error {
			if len(p.ran) == 1 {
				return errors.Join(spool.PrependToChain(ctx, simple(9, "before")), spool.AppendToChain(ctx, spool.With(simple(9, "behind"), spool.OnQueue("c"))))
			}
			return nil
		}
		_, err := p.client.Chain(simple(1, "a"), spool.With(simple(2, "b"), spool.OnQueue("b"), spool.OnConnection("mem"), spool.Delay(20*time.Second))).
			Dispatch(t.Context(), spool.OnQueue("a"))
		if err != nil {
			t.Fatal(err)
		}
		p.work(t, "a", "b", "c", "default")
		if d := cmp.Diff([]string{"a a", "default before", "b b", "c behind"}, p.ran); d != "" || time.Since(begun) < 20*time.Second {
			t.Errorf("after %v (-want +got)\n%s", time.Since(begun), d)
		}
	})
	p := newPod(t, nil)
	for says, chain := range map[string]*spool.Chain{
		"as properties":       p.client.Chain(simple(1, "a"), spool.With(simple(2, "b"), spool.Tries(3))),
		"OnQueue and Delay":   p.client.Chain(simple(1, "a"), spool.With(simple(2, "b"), spool.Extra("tags", 1))),
		"Go's jobs or of PHP": p.client.Chain(simple(1, "a"), spool.WithName("go", nil)),
		"or of PHP's":         p.client.Chain(spool.WithName("go", nil)).Catch(simple(1, "a")),
		"empty name":          p.client.Chain(simple(1, "a"), &laravel.Command{}),
	} {
		if _, err := chain.Dispatch(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
}

// Closures are PHP's: a job that any Laravel can run takes them there.
func TestClosuresAreHandedToPHP(t *testing.T) {
	closure := &phpserial.Object{Class: `Laravel\SerializableClosure\SerializableClosure`, Props: []laravel.Prop{laravel.Public("serializable", "signed")}}
	for name, c := range map[string]struct {
		o     laravel.Options
		queue string
	}{
		"the chain's queue": {queue: "pod"}, "PHP's queue": {laravel.Options{PHPQueue: "php", PHPConnection: "mem"}, "php"},
		"encrypted": {laravel.Options{Key: testKey}, "pod"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPod(t, &c.o)
				p.fails = "b"
				a := simple(1, "a")
				a.Encrypt = c.o.Key != ""
				if err := a.Then(simple(2, "b").OnQueue("go"), simple(3, "c")); err != nil {
					t.Fatal(err)
				}
				a.Set("chainCatchCallbacks", phpserial.List(closure, "report", &phpserial.Ref{To: closure}))
				if _, err := spool.Dispatch(t.Context(), p.client, a.ChainOn("", "pod").OnQueue("go")); err != nil {
					t.Fatal(err)
				}
				p.work(t, "go")
				if d := cmp.Diff([]string{"go a", "go b"}, p.ran); d != "" {
					t.Errorf("(-want +got)\n%s", d)
				}
				waiting := p.waiting(t, c.queue)
				if len(waiting) != 1 || waiting[0].Encrypt != a.Encrypt {
					t.Fatalf("%d jobs wait for PHP, encrypted or not", len(waiting))
				}
				const carrier = `O:34:"Illuminate\Queue\CallQueuedClosure":1:{s:19:"chainCatchCallbacks";a:3:{` +
					`i:0;O:47:"Laravel\SerializableClosure\SerializableClosure":1:{s:12:"serializable";s:6:"signed";}i:1;s:6:"report";i:2;r:3;}}`
				job := serialize(t, waiting[0])
				for _, want := range []string{
					`O:36:"Illuminate\Events\CallQueuedListener":`, `s:5:"class";s:34:"Illuminate\Queue\CallQueuedHandler";s:6:"method";s:6:"failed";`,
					`s:4:"data";a:3:{i:0;a:1:{s:7:"command";s:`, carrier,
					"i:1;O:16:\"RuntimeException\":1:{s:10:\"\x00*\x00message\";s:7:\"缺货?\";}", `i:2;s:36:"` + p.jobs[1].UUID + `";`,
				} {
					if !strings.Contains(job, want) {
						t.Errorf("the job is without %q:\n%q", want, job)
					}
				}
			})
		})
	}
}

// What follows a command that can't be read is unknown, which is not nothing.
func TestAChainThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, nil)
		var failures []error
		spool.Listen(p.conn.Events(), func(_ context.Context, e spool.JobFailed) { failures = append(failures, e.Err) })
		p.mux.HandleFunc("Careless", func(context.Context, *spool.Job) error { return nil })
		for _, command := range []string{
			"not a command", // can't be read
			`O:8:"Careless":1:{s:7:"chained";a:1:{i:0;i:5;}}`, // its link can't
			`O:8:"Careless":1:{s:7:"chained";a:1:{i:0;s:1:"x";}}`,
		} {
			data, err := json.Marshal(map[string]string{"commandName": "Careless", "command": command})
			if err != nil {
				t.Fatal(err)
			}
			body := `{"uuid":"u","job":"Illuminate\\Queue\\CallQueuedHandler@call","data":` + string(data) + `}`
			if _, err := p.conn.PushRaw(t.Context(), "", []byte(body), 0); err != nil {
				t.Fatal(err)
			}
		}
		p.work(t)
		if len(failures) != 3 {
			t.Errorf("failed: %v", failures)
		}
		for _, err := range failures {
			if !strings.Contains(err.Error(), "the job is done, but not what follows it") {
				t.Error(err)
			}
		}
	})
}

// A job of Catch is stored as something that PHP can call, and Go knows.
func TestJobsOfCatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, nil)
		p.fails = "a"
		_, err := p.client.Chain(simple(1, "a"), simple(2, "b")).OnQueue("pod").
			Catch(simple(3, "alarm"), spool.With(simple(4, "bell"), spool.OnQueue("bells"))).Dispatch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		const callable = `a:2:{i:0;O:34:"Illuminate\Queue\CallQueuedClosure":2:{s:7:"chained";a:1:{i:0;s:66:"O:15:"App\Jobs\Simple":2:{s:2:"id";i:3;s:7:"#*#name";s:5:"alarm";}";}s:10:"chainQueue";s:3:"pod";}i:1;s:22:"dispatchNextJobInChain";}`
		if got := serialize(t, p.waiting(t, "pod")[0]); !strings.Contains(got, strings.ReplaceAll(callable, "#", "\x00")) {
			t.Errorf("stored as %q", got)
		}
		p.work(t, "pod", "bells")
		if d := cmp.Diff([]string{"pod a", "pod alarm", "bells bell"}, p.ran); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
		info, err := spool.ChainOf(p.jobs[0].Payload)
		if err != nil || cmp.Diff([]string{`App\Jobs\Simple`, `App\Jobs\Simple`}, info.Catch) != "" {
			t.Errorf("%+v, %v", info, err)
		}
	})
}

// Links of class jobs are members of a batch by their own batchId, and those
// behind one that fails have failed with it.
func TestAChainOfCommandsInABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, nil)
		store := batch.NewMemory()
		p.client.Manager().UseBatches(spool.BatchingOptions{Open: func(context.Context) (spool.BatchStore, error) { return store, nil }})
		p.fails = "b"
		b, err := p.client.Batch(p.client.Chain(simple(1, "a"), simple(2, "b"), simple(3, "c")), simple(4, "d")).AllowFailures().Dispatch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.work(t)
		if d := cmp.Diff([]string{"default a", "default d", "default b"}, p.ran); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
		for _, job := range p.jobs {
			if c, err := laravel.CommandOf(job.Payload); err != nil || c.BatchID() != b.ID {
				t.Errorf("%s is in no batch: %v", job.Body, err)
			}
		}
		if b, err = b.Fresh(t.Context()); err != nil || b.Total != 4 || b.Pending != 2 || len(b.FailedIDs) != 2 || !b.Ended() {
			t.Errorf("%+v, %v", b, err)
		}
	})
}

// Closures that can't be handed over are reported, and stay with the record of
// the failed job.
func TestClosuresThatCannotBeHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPod(t, &laravel.Options{PHPConnection: "nowhere"})
		p.fails = "a"
		a := simple(1, "a")
		a.Set("chainCatchCallbacks", phpserial.List("report"))
		if _, err := spool.Dispatch(t.Context(), p.client, a); err != nil {
			t.Fatal(err)
		}
		store := failed.NewFile(filepath.Join(t.TempDir(), "failed.json"), nil)
		var log strings.Builder
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := worker.New(p.conn, p.mux, &worker.Options{Failed: store, Logger: slog.New(slog.NewTextHandler(&log, nil))}).Run(ctx); err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "what follows a failed job can't be done") || !strings.Contains(log.String(), "nowhere") {
			t.Errorf("logged %s", log.String())
		}
		recs, _, err := store.List(t.Context(), failed.Filter{}, "", 10)
		if err != nil || len(recs) != 1 || !strings.Contains(string(recs[0].Payload), "chainCatchCallbacks") {
			t.Errorf("recorded %+v, %v", recs, err)
		}
	})
}
