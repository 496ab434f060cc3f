package laravel

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cli"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/worker"
)

// TestSignals: the framework here is 8.83. The settings of each version make
// its keys what they are in that version.
func TestSignals(t *testing.T) {
	var cells []cell
	add := func(store string, versions []string, on ...string) {
		for _, v := range versions {
			env := map[string]string{"CACHE_DRIVER": store, "SPOOL_LARAVEL": v}
			cells = append(cells, cell{fmt.Sprintf("restart by the %s cache of %s", store, v), restarts, on, env})
		}
		last := map[string]string{"CACHE_DRIVER": store, "SPOOL_LARAVEL": versions[len(versions)-1]}
		cells = append(cells, cell{"pause by the " + store + " cache", pauses, on, last})
	}
	add("redis", []string{"8", "9", "10", "11", "12", "13"}, "phpredis")
	add("redis", []string{"8", "13"}, "predis")
	add("database", []string{"8", "10", "11", "13"}, "mysql")
	add("database", []string{"8", "13"}, "pgsql")
	add("database", []string{"13"}, "sqlite")
	add("file", []string{"8", "13"}, "beanstalkd")
	cells = append(cells, cell{name: "maintenance mode of either side", show: maintenance, on: []string{"sqlite"}})
	matrix(t, cells...)
}

// spoolCommand runs a command of Spool in the application's folder.
func (a *application) spoolCommand(args ...string) string {
	a.t.Helper()
	var stdout, stderr strings.Builder
	app := &cli.App{Name: "spool"}
	if code := app.Run(a.t.Context(), args, cli.IO{In: strings.NewReader(""), Out: &stdout, Err: &stderr, Env: os.Environ(), Dir: a.dir}); code != 0 {
		a.t.Fatalf("spool %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// pair is a worker of each side, on a queue of its own, that has begun to work
// and so has read what the cache said at its start.
func (a *application) pair() (*process, *goRun) {
	a.t.Helper()
	before := len(a.reports())
	begun := make(chan struct{}, 1)
	mux := spool.NewMux()
	spool.Handle(mux, func(context.Context, reminder) error { begun <- struct{}{}; return nil })
	php := a.start("queue:work", "--queue=of-php", "--sleep=0.1")
	run := a.startGo(mux, func(o *worker.Options) { o.Queues, o.Sleep = []string{"of-go"}, 100*time.Millisecond })
	client := a.spool(nil).Client
	for _, queue := range []string{"of-php", "of-go"} {
		job := laravel.NewCommand(reminder{}.JobName(), laravel.Public("due", 0)).OnQueue(queue)
		if _, err := spool.Dispatch(a.t.Context(), client, job); err != nil {
			a.t.Fatal(err)
		}
	}
	await(a.t, "PHP's worker works", func() bool { return php.ended() || len(a.reports()) > before })
	select {
	case <-begun:
	case <-time.After(patience):
		a.t.Fatal("Spool's worker doesn't work")
	}
	if php.ended() || run.ended() {
		a.t.Fatal("a worker has stopped by itself")
	}
	return php, run
}

// stops checks that both workers end because of a restart.
func stops(php *process, run *goRun) {
	php.t.Helper()
	if code := php.exitCode(); code != 0 {
		php.t.Errorf("PHP's worker ended with %d", code)
	}
	if res := run.result(); res.Reason != worker.Restarting || res.ExitCode != worker.ExitOK {
		php.t.Errorf("Spool's worker ended with %+v", res)
	}
}

func restarts(t *testing.T, a *application) {
	php, run := a.pair()
	a.spoolCommand("queue:restart")
	stops(php, run)

	// The signal is a time in seconds: another one needs another second.
	last := time.Now().Unix()
	php, run = a.pair()
	await(t, "another second", func() bool { return time.Now().Unix() > last })
	a.artisan("queue:restart")
	stops(php, run)
}

// inCache has PHP call methods of its Cache facade.
func (a *application) inCache(calls ...[]any) []any {
	a.t.Helper()
	list, err := json.Marshal(calls)
	if err != nil {
		a.t.Fatal(err)
	}
	var results []any
	if err := json.Unmarshal([]byte(a.run("cache.php", string(list))), &results); err != nil {
		a.t.Fatal(err)
	}
	return results
}

type letter struct{}

func (letter) JobName() string { return "letter" }

// pauses shows the keys with which 13 pauses queues. Its worker reads them
// through its cache, as PHP does here.
func pauses(t *testing.T, a *application) {
	set := a.spool(nil)
	queue, all := "illuminate:queue:paused:"+set.Manager.Default()+":letters", "illuminate:queues:paused"
	mux := spool.NewMux()
	spool.Handle(mux, func(context.Context, letter) error { return nil })
	ran := func(queues ...string) (processed int64) {
		return a.workGo(mux, func(o *worker.Options) { o.Queues = queues }).Processed
	}
	for _, q := range []string{"letters", "letters", "parcels"} {
		if _, err := spool.Dispatch(t.Context(), set.Client, letter{}, spool.OnQueue(q)); err != nil {
			t.Fatal(err)
		}
	}

	a.inCache([]any{"forever", queue, true})
	if n := ran("letters", "parcels"); n != 1 {
		t.Errorf("%d jobs ran with one queue paused by PHP, want that of the other queue", n)
	}
	a.inCache([]any{"forget", queue}, []any{"put", all, true, 600})
	if n := ran("letters", "parcels"); n != 0 {
		t.Errorf("%d jobs ran with all queues paused by PHP", n)
	}
	a.spoolCommand("queue:resume", "--all")
	a.spoolCommand("queue:pause", "letters", "--for=600")
	if d := cmp.Diff([]any{true, nil}, a.inCache([]any{"get", queue}, []any{"get", all})); d != "" {
		t.Errorf("PHP sees, of a queue paused by Spool (-want +got)\n%s", d)
	}
	a.spoolCommand("queue:resume", set.Manager.Default()+":letters")
	a.spoolCommand("queue:pause", "--all")
	if d := cmp.Diff([]any{nil, true, true}, a.inCache([]any{"get", queue}, []any{"get", all}, []any{"forget", all})); d != "" {
		t.Errorf("PHP sees, of all queues paused by Spool (-want +got)\n%s", d)
	}
	if n := ran("letters", "parcels"); n != 2 {
		t.Errorf("%d jobs ran after PHP resumed them, want 2", n)
	}
}

// maintenance takes the application down from each side: neither side works.
func maintenance(t *testing.T, a *application) {
	client := a.spool(nil).Client
	mux := spool.NewMux()
	spool.Handle(mux, func(context.Context, reminder) error { return nil })
	dispatch := func() {
		if _, err := spool.Dispatch(t.Context(), client, laravel.NewCommand(reminder{}.JobName(), laravel.Public("due", 0))); err != nil {
			t.Fatal(err)
		}
	}
	dispatch()
	a.artisan("down")
	if res := a.workGo(mux); res.Processed != 0 {
		t.Errorf("down by PHP, Spool works: %+v", res)
	}
	a.artisan("up")
	if res := a.workGo(mux); res.Processed != 1 {
		t.Errorf("up by PHP, Spool's worker ended with %+v", res)
	}
	dispatch()
	a.spoolCommand("down")
	a.work()
	if rs := a.reports(); len(rs) != 0 {
		t.Errorf("down by Spool, PHP works: %+v", rs)
	}
	a.spoolCommand("up")
	a.work()
	if rs := a.reports(); len(rs) != 1 {
		t.Errorf("up by Spool, PHP worked %+v", rs)
	}
}
