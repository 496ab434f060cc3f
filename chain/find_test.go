package chain_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/chain"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/nullqueue"
	"github.com/spoolq/spool/syncqueue"
	"github.com/spoolq/spool/worker"
)

type Record struct{ Episode int }

type Mix struct{ Episode int }

type Publish struct{ Episode int }

func TestFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := spool.NewManager(nil)
		for name, conn := range map[string]driver.Conn{"mem": memqueue.New(nil), "null": nullqueue.New(), "sync": syncqueue.New(nil)} {
			m.Add(spool.ConnectionConfig{Name: name, Open: func(context.Context) (driver.Conn, error) { return conn, nil }})
		}
		conn, err := m.Connection(t.Context(), "mem")
		if err != nil {
			t.Fatal(err)
		}
		store := failed.NewFile(filepath.Join(t.TempDir(), "failed.json"), nil)
		client := spool.NewClient(m, nil)
		ref, err := client.Chain(Record{7}, spool.With(Mix{7}, spool.OnQueue("slow"), spool.Delay(time.Hour)), Publish{7}).
			OnConnection("mem").Catch(Publish{0}).Dispatch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := spool.DispatchAll(t.Context(), client, make([]Publish, 250), spool.OnConnection("mem")); err != nil {
			t.Fatal(err)
		}
		find := func(id string, o *chain.Options) *chain.Status {
			t.Helper()
			s, err := chain.Find(t.Context(), m, store, id, o)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		// expect finds the one link where the chain stands.
		expect := func(id, queue string, state driver.State, name string, at int, next ...string) chain.Link {
			t.Helper()
			s := find(id, nil)
			if len(s.Links) != 1 {
				t.Fatalf("found %+v", s)
			}
			l := s.Links[0]
			if l.Connection != "mem" || l.Queue != queue || l.State != state || l.Name != name || l.Chain.ID != ref.UUID || l.Chain.At != at ||
				cmp.Diff(next, l.Chain.Next) != "" || cmp.Diff([]string{"Publish"}, l.Chain.Catch) != "" {
				t.Errorf("found %+v", l)
			}
			return l
		}
		expect(ref.UUID, "default", driver.Pending, "Record", 0, "Mix", "Publish")
		if s := find(ref.UUID, &chain.Options{Most: 100}); !s.Cut || s.Looked != 100 || len(s.Links) != 1 {
			t.Errorf("%+v", s)
		}
		if s := find("no-such-chain", nil); len(s.Links) != 0 || s.Looked != 251 || s.Cut || cmp.Diff([]string{"null:*"}, s.Unlisted) != "" {
			t.Errorf("%+v", s)
		}
		if s := find(ref.UUID, &chain.Options{Connections: []string{"null", "sync"}}); len(s.Links) != 0 {
			t.Errorf("%+v", s)
		}
		if _, err := chain.Find(t.Context(), m, nil, "", nil); err == nil {
			t.Error("a chain without an id was found")
		}

		broken := errors.New("no tape")
		mux := spool.NewMux()
		spool.Handle(mux, func(ctx context.Context, _ Record) error {
			if l := expect(ref.UUID, "default", driver.Reserved, "Record", 0, "Mix", "Publish"); l.Attempts != 1 || !l.At.After(time.Now()) {
				t.Errorf("runs as %+v", l)
			}
			return nil
		})
		spool.Handle(mux, func(context.Context, Mix) error { return broken })
		spool.Handle(mux, func(context.Context, Publish) error { return nil })
		work := func(d time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			o := &worker.Options{Queues: []string{"default", "slow"}, Failed: store, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
			if _, err := worker.New(conn, mux, o).Run(ctx); err != nil {
				t.Error(err)
			}
		}
		work(time.Minute)
		l := expect(ref.UUID, "slow", driver.Delayed, "Mix", 1, "Publish")
		if time.Until(l.At) < 30*time.Minute {
			t.Errorf("due at %v", l.At)
		}
		expect(l.UUID, "slow", driver.Delayed, "Mix", 1, "Publish")
		work(2 * time.Hour)
		if l := expect(ref.UUID, "slow", chain.Failed, "Mix", 1, "Publish"); l.At.IsZero() {
			t.Errorf("failed as %+v", l)
		}
	})
}

// A chain that PHP began has no id but its link's uuid.
func TestFindAChainOfPHP(t *testing.T) {
	format, err := laravel.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	mem := memqueue.New(nil)
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "mem", Format: format, Open: func(context.Context) (driver.Conn, error) { return mem, nil }})
	a := laravel.NewCommand(`App\Jobs\A`)
	if err := a.Then(laravel.NewCommand(`App\Jobs\B`)); err != nil {
		t.Fatal(err)
	}
	ref, err := spool.Dispatch(t.Context(), spool.NewClient(m, nil), a)
	if err != nil {
		t.Fatal(err)
	}
	s, err := chain.Find(t.Context(), m, nil, ref.UUID, nil)
	if err != nil || len(s.Links) != 1 || cmp.Diff([]string{`App\Jobs\B`}, s.Links[0].Chain.Next) != "" {
		t.Errorf("%+v, %v", s, err)
	}
}
