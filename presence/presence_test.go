package presence_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/presence"
	"github.com/spoolq/spool/worker"
)

// fleet is a store that several applications think is their own.
type fleet struct{ store driver.Conn }

// conn is one's connection to it.
func (f fleet) conn(t *testing.T, format spool.Format) *spool.Connection {
	t.Helper()
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "orders", Format: format, Open: func(context.Context) (driver.Conn, error) { return f.store, nil }})
	c, err := m.Connection(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func register(ctx context.Context, conn *spool.Connection, r presence.Record) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return conn.Driver().(driver.Registrar).Register(ctx, driver.Record{ID: r.ID, Body: body}, time.Minute)
}

var quiet = slog.New(slog.DiscardHandler)

// other is a format whose jobs others would lose.
type other struct{ spool.Format }

func (other) FormatName() string { return "tq1" }

func TestARecordLivesAsLongAsItsWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := fleet{memqueue.New(nil)}.conn(t, nil)
		mux := spool.NewMux()
		hold := make(chan struct{})
		mux.HandleFunc("slow", func(context.Context, *spool.Job) error { <-hold; return nil })
		mux.HandleFunc("bad", func(context.Context, *spool.Job) error { return errors.New("no") })
		for _, name := range []string{"slow", "bad"} {
			if _, err := conn.PushRaw(t.Context(), "high", fmt.Appendf(nil, `{"uuid":%q,"job":%[1]q,"data":{}}`, name), 0); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		w := worker.New(conn, mux, &worker.Options{
			Name: "w1", Queues: []string{"high", "default"}, Concurrency: 3, Grace: time.Hour, Logger: quiet,
			Identity: presence.Identity{App: "Shop", Env: "production"}, Policy: spool.Policy{Timeout: new(time.Duration)},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { _, err := w.Run(ctx); done <- err }()
		look := func(d time.Duration) presence.Record {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			ws, err := presence.List(t.Context(), conn)
			if err != nil || len(ws) != 1 {
				t.Fatalf("%d records, %v", len(ws), err)
			}
			return ws[0]
		}
		r := look(0)
		if r.Name != "w1" || r.App != "Shop" || r.Env != "production" || r.Host == "" || r.PID == 0 || r.User == "" || r.Connection != "orders" ||
			strings.Join(r.Queues, ",") != "high,default" || r.Format != "laravel" || r.Concurrency != 3 || r.State != presence.Running || !r.Started.Equal(began) {
			t.Errorf("the record says %+v", r)
		}
		if r = look(5 * time.Minute); r.Running != 1 || r.Processed != 1 || r.Failed != 1 || time.Since(r.Seen) > 15*time.Second {
			t.Errorf("after five minutes: %+v", r)
		}
		w.Pause()
		if r = look(20 * time.Second); r.State != presence.Paused {
			t.Errorf("paused: %+v", r)
		}
		cancel()
		if r = look(2 * time.Minute); r.State != presence.Stopping || r.Running != 1 {
			t.Errorf("waiting for its last job: %+v", r)
		}
		close(hold)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if ws, err := presence.List(t.Context(), conn); err != nil || len(ws) != 0 {
			t.Errorf("it has ended, and %+v, %v", ws, err)
		}
	})
}

// A worker meets others on its queues, and says so, or doesn't start.
func TestWhoMeetsWhom(t *testing.T) {
	production := presence.Record{
		ID: "1", App: "Shop", Env: "production", Host: "web1", PID: 7, User: "www", Queues: []string{"high", "default"}, Format: "laravel",
	}
	with := func(change func(*presence.Record)) presence.Record {
		w := production
		change(&w)
		return w
	}
	host := func(w *presence.Record) { w.Host = "" } // this one's own
	for name, c := range map[string]struct {
		there     presence.Record
		mine      presence.Identity
		format    spool.Format
		says      string // in the log
		refused   string // in the error
		exclusive bool   // of what type it is
	}{
		"one like us": {there: with(host), mine: presence.Identity{App: "Shop", Env: "production", Exclusive: true}},
		"another environment": {
			there: production, mine: presence.Identity{App: "Shop", Env: "staging"},
			says: `level=WARN msg="workers of another application or environment are at work on the same queues`,
		},
		"another application": {
			there: production, mine: presence.Identity{App: "Blog", Env: "production"}, says: `this="Blog production" others="pid 7 of www on web1 (Shop production, queue high,default`,
		},
		"another environment, and we are exclusive": {
			there: production, mine: presence.Identity{App: "Shop", Env: "local", Exclusive: true}, exclusive: true,
			refused: "queue default of connection orders is worked for another application or environment than this worker's (Shop local): pid 7 of www on web1 (Shop production, queue high,default",
		},
		"another environment, and it is exclusive": {
			there: with(func(w *presence.Record) { w.Exclusive = true }), mine: presence.Identity{App: "Shop", Env: "local"}, exclusive: true,
			refused: "those workers were started with exclusive-env",
		},
		"one that doesn't say whose it is": {
			there: with(func(w *presence.Record) { w.App, w.Env, w.Host = "", "", "" }), mine: presence.Identity{App: "Shop", Env: "local", Exclusive: true},
		},
		"another queue": {
			there: with(func(w *presence.Record) { w.Queues = []string{"mails"} }), mine: presence.Identity{App: "Blog", Env: "local", Exclusive: true},
		},
		"another host of a fleet": {there: production, mine: presence.Identity{App: "Shop", Env: "production"}, says: "level=INFO"},
		"another host of our own": {
			there: with(func(w *presence.Record) { w.Env = "local" }), mine: presence.Identity{App: "Shop", Env: "local"},
			says: `level=WARN msg="workers on other hosts are at work on the same queues"`,
		},
		"another format": {
			there: production, mine: presence.Identity{App: "Shop", Env: "production"}, format: other{spool.Native},
			refused: "connection orders is set to the format tq1, but workers of laravel are at work on queue default: pid 7 of www on web1",
		},
		"nobody, and an unlisted one": {
			there: with(func(w *presence.Record) { w.Queues = nil }), mine: presence.Identity{Exclusive: true, Unlisted: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn := fleet{memqueue.New(nil)}.conn(t, c.format)
			if err := register(t.Context(), conn, c.there); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			res, err := worker.New(conn, spool.NewMux(), &worker.Options{
				StopWhenEmpty: true, Identity: c.mine, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			}).Run(t.Context())
			if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused) || res.Reason != worker.Refused || res.ExitCode != worker.ExitError) {
				t.Errorf("%+v, %v; want the words %q", res, err, c.refused)
			}
			var conflict *presence.FormatError
			var exclusive *presence.ExclusiveError
			if errors.As(err, &exclusive) != c.exclusive || errors.As(err, &conflict) != (c.refused != "" && !c.exclusive) {
				t.Errorf("the error is a %T", err)
			}
			if !strings.Contains(log.String(), c.says) || c.says == "" && strings.Contains(log.String(), "level=") {
				t.Errorf("the log says\n%s, want %q", &log, c.says)
			}
			if ws, err := presence.List(t.Context(), conn); err != nil || len(ws) != 1 || ws[0].ID != "1" {
				t.Errorf("records left: %+v, %v", ws, err)
			}
		})
	}
}

// Of two who start at once and share with nobody, never both go on.
func TestTwoExclusiveWorkersAtOnce(t *testing.T) {
	for range 50 {
		store := memqueue.New(nil)
		errs := make(chan error, 2)
		for _, env := range []string{"local", "production"} {
			conn := fleet{store}.conn(t, nil)
			go func() {
				_, err := presence.Join(t.Context(), conn, presence.Record{Env: env, Exclusive: true}, quiet)
				errs <- err
			}()
		}
		if a, b := <-errs, <-errs; a == nil && b == nil {
			t.Fatal("both have the queue for themselves")
		}
	}
}

// stubborn is a store whose records fail.
type stubborn struct {
	*memqueue.Conn
	err error
}

func (s stubborn) Register(context.Context, driver.Record, time.Duration) error { return s.err }

// plain is a store without records.
type plain struct{ driver.Conn }

// A record that can't be kept stops nobody but one who must be alone.
func TestRecordsThatFail(t *testing.T) {
	for name, store := range map[string]driver.Conn{
		"broken": stubborn{memqueue.New(nil), errors.New("NOPERM")}, "unable": stubborn{memqueue.New(nil), errors.ErrUnsupported}, "plain": plain{memqueue.New(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			conn := fleet{store}.conn(t, nil)
			var log bytes.Buffer
			o := worker.Options{StopWhenEmpty: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}
			if _, err := worker.New(conn, spool.NewMux(), &o).Run(t.Context()); err != nil {
				t.Error(err)
			}
			want := map[string]int{"broken": 1, "unable": 1, "plain": 0}[name]
			if got := strings.Count(log.String(), "level=WARN"); got != want {
				t.Errorf("%d warnings, want %d:\n%s", got, want, &log)
			}
			o.Identity.Exclusive = true
			if _, err := worker.New(conn, spool.NewMux(), &o).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "it can't be seen who else works the queues") {
				t.Errorf("exclusive: %v", err)
			}
		})
	}
}

// A record of a worker that writes otherwise is shown as far as it is
// understood.
func TestARecordOfAnotherVersion(t *testing.T) {
	store := memqueue.New(nil)
	conn := fleet{store}.conn(t, nil)
	for id, body := range map[string]string{"a": `{"pid":"many"}`, "b": `not json`, "c": `{"pid":3,"zone":"eu","id":"x"}`} {
		if err := store.Register(t.Context(), driver.Record{ID: id, Body: []byte(body)}, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	ws, err := presence.List(t.Context(), conn)
	if err != nil || len(ws) != 3 || ws[0].ID != "a" || ws[0].PID != 0 || ws[1].ID != "b" || ws[2].ID != "c" || ws[2].PID != 3 {
		t.Errorf("%+v, %v", ws, err)
	}
	if _, err := worker.New(conn, spool.NewMux(), &worker.Options{StopWhenEmpty: true, Logger: quiet, Identity: presence.Identity{Exclusive: true}}).Run(t.Context()); err != nil {
		t.Error(err)
	}
}
