package connect

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/driver"
)

// logged returns the Set of a spool.yaml, and where it logs. It isn't closed.
func logged(t *testing.T, yaml string, environ ...string) (*Set, *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "spool.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(&config.Options{Dir: dir, Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	s, err := New(cfg, &Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return s, log
}

// What waits in the background is run before anything else is closed, and may
// still dispatch.
func TestBackgroundIsDrained(t *testing.T) {
	for _, name := range []string{"background", "deferred"} {
		s, log := logged(t, "queue: {connections: {"+name+": {concurrency: 1}}}")
		release := make(chan struct{})
		var processed, failed atomic.Int64
		spool.Handle(s.Mux, func(ctx context.Context, job greet) error {
			<-release
			if job.Name == "bob" {
				return errors.New("no such person")
			}
			_, err := spool.Push(ctx, s.Client, "follow-up", nil, spool.OnConnection("memory"))
			return err
		})
		spool.Listen(s.Manager.Events(), func(context.Context, spool.JobProcessed) { processed.Add(1) })
		spool.Listen(s.Manager.Events(), func(_ context.Context, e spool.JobFailed) {
			if e.Job.Connection == name {
				failed.Add(1)
			}
		})
		ctx, end := spool.Deferred(t.Context())
		for _, who := range []string{"ann", "bob", "cid"} {
			if _, err := spool.Dispatch(ctx, s.Client, greet{who}, spool.OnConnection(name)); err != nil {
				t.Fatal(err)
			}
		}
		c, err := s.Manager.Connection(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		memory, err := s.Manager.Connection(t.Context(), "memory")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Driver().Traits().Driver; got != name {
			t.Errorf("%s is driver %s", name, got)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		close(release)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if processed.Load() != 2 || failed.Load() != 1 {
			t.Errorf("%s: %d processed, %d failed", name, processed.Load(), failed.Load())
		}
		if got := log.String(); !strings.Contains(got, "no such person") || !strings.Contains(got, "greet") || strings.Contains(got, "bob") {
			t.Errorf("%s: the log says %q", name, got)
		}
		if _, err := memory.Size(t.Context(), ""); !errors.Is(err, driver.ErrClosed) {
			t.Errorf("the others are not closed: %v", err)
		}
	}
}

func TestBackgroundGivesUp(t *testing.T) {
	s, log := logged(t, "worker: {grace: 0.05}")
	spool.Handle(s.Mux, func(ctx context.Context, _ greet) error { <-ctx.Done(); return ctx.Err() })
	if _, err := spool.Dispatch(t.Context(), s.Client, greet{"ann"}, spool.OnConnection("background")); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "1 running jobs were cancelled") {
		t.Errorf("Close: %v", err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	if !strings.Contains(log.String(), "context canceled") {
		t.Errorf("the log says %q", log)
	}
}

// Dispatches go past a Redis that isn't there, and say so once; commands read
// the first connection.
func TestFailoverConnection(t *testing.T) {
	s, log := logged(t, `
queue:
  default: both
  connections: {both: {driver: failover, connections: [redis, memory]}}
`, "REDIS_HOST=127.0.0.1", "REDIS_PORT=1")
	defer func() { _ = s.Close() }()
	for range 3 {
		ref, err := spool.Dispatch(t.Context(), s.Client, greet{"ann"})
		if err != nil || ref.Connection != "memory" {
			t.Fatalf("dispatched to %+v, %v", ref, err)
		}
	}
	if n := strings.Count(log.String(), "a connection is down"); n != 1 || !strings.Contains(log.String(), "connection=redis") {
		t.Errorf("told %d times: %s", n, log)
	}
	if _, err := s.Manager.Connection(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "nobody listens there") {
		t.Errorf("reading it: %v", err)
	}
	memory, err := s.Manager.Connection(t.Context(), "memory")
	if err != nil {
		t.Fatal(err)
	}
	if size, err := memory.Size(t.Context(), ""); err != nil || size.Pending != 3 {
		t.Errorf("%+v, %v", size, err)
	}
}

func TestDegrade(t *testing.T) {
	s, _ := logged(t, "laravel: none\nqueue: {default: redis}", "REDIS_PORT=1", "SPOOL_DEGRADE=sync")
	defer func() { _ = s.Close() }()
	ran := 0
	spool.Handle(s.Mux, func(context.Context, greet) error { ran++; return nil })
	if _, err := spool.Dispatch(t.Context(), s.Client, greet{"ann"}); err != nil || ran != 1 {
		t.Errorf("%v, %d ran", err, ran)
	}
	s.Manager.Degrade("")
	if _, err := spool.Dispatch(t.Context(), s.Client, greet{"ann"}); err == nil || ran != 1 {
		t.Errorf("afterwards: %v, %d ran", err, ran)
	}
}
