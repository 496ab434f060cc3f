package laravel

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cli"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/worker"
)

// TestStub: PHP's workers meet jobs that only Go knows.
func TestStub(t *testing.T) {
	matrix(t,
		cell{name: "without a stub PHP fails the job", show: withoutStub},
		cell{name: "with a stub PHP leaves the job to Go", show: withStub},
		cell{name: "a mixed queue keeps flowing", on: []string{"phpredis", "mysql", "sqlite"}, show: flows},
	)
}

// failures are the exceptions of all failed jobs.
func (a *application) failures() []string {
	a.t.Helper()
	store, err := a.spool(nil).Failed(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	page, _, err := store.List(a.t.Context(), failed.Filter{}, "", 1000)
	if err != nil {
		a.t.Fatal(err)
	}
	var all []string
	for _, r := range page {
		all = append(all, r.Exception)
	}
	return all
}

func withoutStub(t *testing.T, a *application) {
	dispatch(t, a, named(goJob, few))
	a.work("--tries=2")
	all := a.failures()
	if len(all) != few {
		t.Errorf("%d jobs have failed, want %d", len(all), few)
	}
	for _, e := range all {
		if !strings.Contains(e, "["+goJob+"] does not exist") {
			t.Errorf("failed with %.200s", e)
		}
	}
	a.isEmpty("")
}

// stub has Spool write a stub, and puts the line that it prints into a service
// provider.
func (a *application) stub(name string) {
	a.t.Helper()
	var stdout, stderr strings.Builder
	app := &cli.App{Name: "spool"}
	if code := app.Run(a.t.Context(), []string{"make:php-stub", name, "--delay=1"}, cli.IO{Out: &stdout, Err: &stderr, Dir: a.dir}); code != 0 {
		a.t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	line := ""
	for l := range strings.Lines(stderr.String()) {
		if strings.Contains(l, "->bind(") {
			line = strings.TrimSpace(l)
		}
	}
	if line == "" {
		a.t.Fatalf("no binding is printed:\n%s", stderr.String())
	}
	if err := os.MkdirAll(filepath.Join(a.dir, "app", "Providers"), 0o700); err != nil {
		a.t.Fatal(err)
	}
	a.write("app/Providers/GoServiceProvider.php", "<?php\n\nnamespace App\\Providers;\n\nclass GoServiceProvider extends \\Illuminate\\Support\\ServiceProvider\n{\n"+
		"    public function register()\n    {\n        "+line+"\n    }\n}\n")
}

// bodies are the jobs that wait, byte for byte, by uuid; nil where the store
// doesn't list them.
func (a *application) bodies() map[string]string {
	a.t.Helper()
	conn, err := a.spool(nil).Manager.Connection(a.t.Context(), "")
	if err != nil {
		a.t.Fatal(err)
	}
	if _, ok := conn.Driver().(driver.Lister); !ok {
		return nil
	}
	all := map[string]string{}
	for _, state := range []driver.State{driver.Pending, driver.Delayed} {
		entries, _, err := conn.List(a.t.Context(), "", state, "", 1000)
		if err != nil {
			a.t.Fatal(err)
		}
		for _, e := range entries {
			p, err := conn.Format.Decode(e.Body)
			if err != nil {
				a.t.Fatal(err)
			}
			all[p.UUID] = string(e.Body)
		}
	}
	return all
}

// withStub has PHP's worker meet jobs of Go's twice though each may be tried once
// only: they stay what they were.
func withStub(t *testing.T, a *application) {
	a.stub(goJob)
	uuids := dispatch(t, a, named(goJob, few))
	pushed := a.bodies()
	for range 2 {
		before := time.Now()
		a.work("--tries=1")
		if n := a.left(); n != few {
			t.Fatalf("%d jobs are left after PHP has met them, want %d", n, few)
		}
		if d := cmp.Diff(pushed, a.bodies()); d != "" {
			t.Errorf("a stub has changed jobs (-before +after)\n%s", d)
		}
		await(t, "the jobs are due again", func() bool { return time.Since(before) > 3*time.Second })
	}
	if all := a.failures(); len(all) > 0 {
		t.Errorf("%d jobs have failed: %.300s", len(all), all[0])
	}
	var s seen
	mux := handling(goJob, s.handle(nil))
	if res := a.startGo(mux, func(o *worker.Options) { o.MaxJobs = few }).result(); res.Processed != few || res.Failed != 0 {
		t.Errorf("the worker ended with %+v", res)
	}
	s.are(t, samples(few))
	slices.Sort(uuids)
	slices.Sort(s.uuids)
	if d := cmp.Diff(uuids, s.uuids); d != "" {
		t.Errorf("the jobs are not the same (-pushed +run)\n%s", d)
	}
	a.isEmpty("")
}

// flows has a worker of each side work a queue that holds as many jobs of PHP's
// as of Go's own: both come to their end, each at its first attempt.
func flows(t *testing.T, a *application) {
	a.stub(goJob)
	n := a.many() / 4 // both sides look for every job of theirs behind those of the other
	phps, gos := halves(dispatch(t, a, mixed(n)))
	var mu sync.Mutex
	ran := map[string]int{}
	mux := spool.NewMux()
	mux.HandleFunc(goJob, func(_ context.Context, job *spool.Job) error {
		mu.Lock()
		defer mu.Unlock()
		ran[job.UUID] += job.Attempt
		return nil
	})
	php := a.start("queue:work", "--sleep=0.1", "--tries=1")
	run := a.startGo(mux, ownNames(mux), func(o *worker.Options) { o.Sleep = 100 * time.Millisecond })
	left := a.lefts()
	await(t, "all jobs are done", func() bool { return php.ended() || run.ended() || left() == 0 })
	run.stop()
	run.result()
	for _, uuid := range gos {
		if ran[uuid] != 1 {
			t.Fatalf("Go ran a job of its own %d times, or as that attempt", ran[uuid])
		}
	}
	for _, r := range a.reports() {
		ran[r.UUID] += r.Attempt
	}
	for _, uuid := range phps {
		if ran[uuid] != 1 {
			t.Fatalf("PHP ran a job of its own %d times, or as that attempt", ran[uuid])
		}
	}
	if len(ran) != 2*n {
		t.Errorf("%d jobs ran, want %d", len(ran), 2*n)
	}
	if all := a.failures(); len(all) > 0 {
		t.Errorf("%d jobs have failed: %.300s", len(all), all[0])
	}
}
