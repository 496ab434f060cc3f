package batch_test

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/sqldb"
)

// phpOptions is what Laravel 8.83 stores for a batch with one closure for then,
// another thing that can be called for catch, and no finally; the closure's code
// is shortened.
const phpOptions = `a:5:{s:13:"allowFailures";b:1;s:5:"queue";s:7:"imports";` +
	`s:4:"then";a:1:{i:0;O:47:"Laravel\SerializableClosure\SerializableClosure":1:{s:12:"serializable";` +
	`O:46:"Laravel\SerializableClosure\Serializers\Signed":2:{s:12:"serializable";s:4:"O:0:";s:4:"hash";s:4:"aaaa";}}}` +
	`s:5:"catch";a:1:{i:0;s:10:"App\notify";}s:7:"finally";a:0:{}}`

// TestBatchOfPHP has a row as Laravel makes it. What waits for its events is
// owed once Spool has counted the end that brings them about.
func TestBatchOfPHP(t *testing.T) {
	for _, kind := range []string{sqldb.SQLite, sqldb.MySQL, sqldb.Postgres} {
		t.Run(kind, func(t *testing.T) {
			db := database(t, kind, tables, 8)
			options := phpOptions
			if kind == sqldb.Postgres {
				options = base64.StdEncoding.EncodeToString([]byte(options))
			}
			execute(t, db, "INSERT INTO job_batches (id, name, total_jobs, pending_jobs, failed_jobs, failed_job_ids, options, created_at) VALUES (?, ?, 2, 2, 0, '[]', ?, 1795174122)",
				"php", "von PHP", options)
			s := batch.NewSQL(db, nil)
			r, err := s.Find(t.Context(), "php")
			if err != nil || !r.Options.AllowFailures || r.Options.Queue != "imports" ||
				!slices.Equal(r.Options.PHP, []spool.BatchEvent{spool.BatchThen, spool.BatchCatch}) {
				t.Fatalf("%+v, %v", r, err)
			}
			record := func(uuid string, failed bool) {
				t.Helper()
				if _, err := s.Record(t.Context(), []spool.BatchEnd{{Batch: "php", UUID: uuid, Failed: failed}}); err != nil {
					t.Fatal(err)
				}
			}
			record("1", true)
			record("2", false)
			owed := func(want string) {
				t.Helper()
				ids, err := s.Owed(t.Context(), 10)
				if err != nil || strings.Join(ids, " ") != want {
					t.Errorf("owed: %q, %v, want %q", ids, err, want)
				}
			}
			owed("php")
			// The process that counted dies here. Another one has no way to hand
			// closures over, a third one has.
			var handed []string
			made := 0
			sweep(t, s, nil)
			owed("php")
			hand := func(_ spool.BatchRecord, e spool.BatchEvent, failure string) (any, error) {
				if e := string(e) + ": " + failure; !slices.Contains(handed, e) {
					handed = append(handed, e) // it may be asked more than once
				}
				made++
				return spool.WithName("php", nil), nil
			}
			sweep(t, s, hand)
			owed("")
			record("1", false)
			owed("php")
			sweep(t, s, hand)
			before := made
			sweep(t, s, hand)
			if made != before {
				t.Errorf("asked for %d more jobs when nothing was owed", made-before)
			}
			if want := []string{"catch: a job of the batch has failed; the worker that knew why has died", "then: "}; !slices.Equal(handed, want) {
				t.Errorf("handed over %q, want %q", handed, want)
			}
		})
	}
}

// sweep has a new process with a worker look for what is owed, once.
func sweep(t *testing.T, s spool.BatchStore, php func(spool.BatchRecord, spool.BatchEvent, string) (any, error)) {
	t.Helper()
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "default", Open: func(context.Context) (driver.Conn, error) { return memqueue.New(nil), nil }})
	swept := make(chan struct{})
	seen := &sweptStore{BatchStore: s, swept: swept}
	m.UseBatches(spool.BatchingOptions{Open: func(context.Context) (spool.BatchStore, error) { return seen, nil }, PHP: php, Sweep: time.Millisecond})
	spool.Emit(t.Context(), m.Events(), spool.WorkerStarting{})
	<-swept
	spool.Emit(t.Context(), m.Events(), spool.WorkerStopping{})
}

// sweptStore tells when a second sweep begins: the first is over then.
type sweptStore struct {
	spool.BatchStore
	n     int
	swept chan struct{}
}

func (s *sweptStore) Owed(ctx context.Context, max int) ([]string, error) {
	if s.n++; s.n == 2 {
		close(s.swept)
	}
	return s.BatchStore.Owed(ctx, max)
}

// failingConn accepts only so many jobs.
type failingConn struct {
	driver.Conn
	left int
}

func (c *failingConn) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	n := min(c.left, len(ms))
	c.left -= n
	ids, err := c.Conn.Push(ctx, queue, ms[:n])
	if err == nil && n < len(ms) {
		err = errors.New("the store is full")
	}
	return ids, err
}

func TestDispatchThatFails(t *testing.T) {
	many := make([]any, 2500)
	for i := range many {
		many[i] = Import{N: i}
	}
	for _, c := range []struct{ accepts, total int }{{0, 0}, {1, 1}, {1200, 1200}} {
		store := batch.NewMemory()
		a := newApp(t, &failingConn{memqueue.New(nil), c.accepts}, store, -1)
		b, err := a.client.Batch(many...).Name("half").Dispatch(t.Context())
		if err == nil {
			t.Fatalf("%d accepted: no error", c.accepts)
		}
		if c.accepts == 0 {
			if left, err := store.List(t.Context(), "", 10); b != nil || len(left) > 0 || err != nil {
				t.Errorf("nothing was stored, but %v is left, %v", left, err)
			}
			continue
		}
		if b == nil || b.Total != c.total || b.Pending != c.total || !b.Cancelled() {
			t.Errorf("%d accepted: %+v", c.accepts, b)
		}
	}
	a := newApp(t, memqueue.New(nil), batch.NewMemory(), -1)
	refuses := errors.New("not today")
	b, err := a.client.Batch(Import{}).Before(func(context.Context, *spool.Batch) error { return refuses }).Dispatch(t.Context())
	if !errors.Is(err, refuses) || b != nil {
		t.Errorf("before: %v, %v", b, err)
	}
	if _, err := a.client.Batch(Import{}, nil).Dispatch(t.Context()); err == nil || !strings.Contains(err.Error(), "job 2 of 2") {
		t.Errorf("a nil job: %v", err)
	}
}
