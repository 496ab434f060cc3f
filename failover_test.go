package spool_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/syncqueue"
)

var errDown = errors.New("connection refused")

// fragile is a queue whose server can be down: before it stores, or after, when
// only the answer is lost.
type fragile struct {
	*memqueue.Conn
	down   atomic.Bool
	silent atomic.Bool // it stores, and the answer is lost
	refuse atomic.Int64
	pushes atomic.Int64
}

func (f *fragile) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	f.pushes.Add(1)
	if f.down.Load() {
		return nil, errDown
	}
	if n := f.refuse.Load(); n > 0 && int64(len(ms)) > n { // it dies in the middle
		ids, err := f.Conn.Push(ctx, queue, ms[:n])
		return ids, errors.Join(err, errDown)
	}
	ids, err := f.Conn.Push(ctx, queue, ms)
	if f.silent.Load() {
		return nil, errDown
	}
	return ids, err
}

type fleet struct {
	*spool.Client
	first, second *fragile
	openFails     atomic.Bool
	events        []spool.QueueFailedOver
	mu            sync.Mutex
}

type note struct{ Text string }

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{first: &fragile{Conn: memqueue.New(nil)}, second: &fragile{Conn: memqueue.New(nil)}}
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "both", Failover: []string{"first", "second"}})
	m.Add(spool.ConnectionConfig{Name: "first", Queue: "a", Open: func(context.Context) (driver.Conn, error) {
		if f.openFails.Load() {
			return nil, errDown
		}
		return f.first, nil
	}})
	m.Add(spool.ConnectionConfig{Name: "second", Queue: "b", Open: func(context.Context) (driver.Conn, error) { return f.second, nil }})
	spool.Listen(m.Events(), func(_ context.Context, e spool.QueueFailedOver) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.events = append(f.events, e)
	})
	f.Client = spool.NewClient(m, nil)
	t.Cleanup(func() { _ = m.Close() })
	return f
}

// uuids returns the jobs of a queue.
func uuids(t *testing.T, c *fragile, queue string) []string {
	t.Helper()
	entries, _, err := c.List(t.Context(), queue, driver.Pending, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		p, err := spool.Native.Decode(e.Body)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p.UUID)
	}
	return out
}

func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		dispatch := func(wantConnection string) spool.Ref {
			t.Helper()
			ref, err := spool.Dispatch(t.Context(), f, note{"x"})
			if err != nil || ref.Connection != wantConnection {
				t.Fatalf("dispatched to %+v, %v; want %s", ref, err, wantConnection)
			}
			return ref
		}
		if ref := dispatch("first"); ref.Queue != "a" || len(f.events) != 0 {
			t.Errorf("%+v %v", ref, f.events)
		}
		f.first.down.Store(true)
		ref := dispatch("second")
		if ref.Queue != "b" || !slices.Equal(uuids(t, f.second, "b"), []string{ref.UUID}) {
			t.Errorf("%+v, but the second has %v", ref, uuids(t, f.second, "b"))
		}
		if len(f.events) != 1 || f.events[0].Failover != "both" || f.events[0].Connection != "first" || f.events[0].UUID != ref.UUID || f.events[0].Name != "spool_test.note" && f.events[0].Name != "note" || !errors.Is(f.events[0].Err, errDown) {
			t.Errorf("events: %+v", f.events)
		}
		// It is passed over for a while, then tried again; the event isn't repeated.
		asked := f.first.pushes.Load()
		dispatch("second")
		if n := f.first.pushes.Load(); n != asked {
			t.Error("a server that has just failed is asked again")
		}
		time.Sleep(6 * time.Second)
		dispatch("second")
		if n := f.first.pushes.Load(); n != asked+1 || len(f.events) != 1 {
			t.Errorf("asked %d times more, events: %v", n-asked, f.events)
		}
		// If the others fail too it is tried even so.
		f.second.down.Store(true)
		if _, err := spool.Dispatch(t.Context(), f, note{"x"}); !errors.Is(err, errDown) || !strings.Contains(err.Error(), "both") {
			t.Errorf("with everything down: %v", err)
		}
		if len(f.events) != 2 || f.events[1].Connection != "second" {
			t.Errorf("events: %+v", f.events)
		}
		f.first.down.Store(false)
		dispatch("first")
		f.second.down.Store(false)
		f.first.down.Store(true)
		dispatch("second")
		if len(f.events) != 3 || f.events[2].Connection != "first" {
			t.Errorf("a new failure after a success is told: %+v", f.events)
		}
		// Reading and working is the first's business.
		c, err := f.Manager().Connection(t.Context(), "both")
		if err != nil || c.Name != "first" {
			t.Errorf("the connection is %+v, %v", c, err)
		}
	})
}

func TestFailoverWhenItCannotBeOpened(t *testing.T) {
	f := newFleet(t)
	f.openFails.Store(true)
	ref, err := spool.Dispatch(t.Context(), f, note{"x"})
	if err != nil || ref.Connection != "second" || len(f.events) != 1 {
		t.Errorf("%+v %v %v", ref, err, f.events)
	}
}

// An outcome that is unknown counts as a failure: the job may then be in both,
// under one uuid.
func TestFailoverAfterAnUnknownOutcome(t *testing.T) {
	f := newFleet(t)
	f.first.silent.Store(true)
	ref, err := spool.Dispatch(t.Context(), f, note{"x"})
	if err != nil || ref.Connection != "second" {
		t.Fatalf("%+v %v", ref, err)
	}
	for c, queue := range map[*fragile]string{f.first: "a", f.second: "b"} {
		if got := uuids(t, c, queue); !slices.Equal(got, []string{ref.UUID}) {
			t.Errorf("%s holds %v, want %s", queue, got, ref.UUID)
		}
	}
}

func TestFailoverOfTheRestOfABatch(t *testing.T) {
	f := newFleet(t)
	f.first.refuse.Store(2)
	refs, err := spool.DispatchAll(t.Context(), f, make([]note, 5))
	if err != nil || len(refs) != 5 {
		t.Fatalf("%v %v", refs, err)
	}
	var first, second []string
	for i, r := range refs {
		if want := []string{"first", "second"}[min(i/2, 1)]; r.Connection != want {
			t.Errorf("job %d is in %s, want %s", i, r.Connection, want)
		}
		if i < 2 {
			first = append(first, r.UUID)
		} else {
			second = append(second, r.UUID)
		}
	}
	if !slices.Equal(uuids(t, f.first, "a"), first) || !slices.Equal(uuids(t, f.second, "b"), second) {
		t.Errorf("%v and %v are not where they should be", first, second)
	}
}

// What is the caller's or the job's own fault is no reason to try elsewhere.
func TestNoFailover(t *testing.T) {
	f := newFleet(t)
	for name, try := range map[string]func() error{
		"a context that has ended": func() error {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := spool.Dispatch(ctx, f, note{"x"})
			return err
		},
		"data that can't be encoded": func() error {
			_, err := spool.Push(t.Context(), f, "x", make(chan int))
			return err
		},
	} {
		if err := try(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if n := f.second.pushes.Load(); n != 0 || len(f.events) != 0 {
		t.Errorf("%d pushes to the second, events %v", n, f.events)
	}
	for what, pushed := range map[string]error{"stored": driver.ErrStored, "too large": &driver.LimitError{What: "body", Index: 0}} {
		second := &fragile{Conn: memqueue.New(nil)}
		m := spool.NewManager(nil)
		m.Add(spool.ConnectionConfig{Name: "both", Failover: []string{"first", "second"}})
		m.Add(spool.ConnectionConfig{Name: "first", Open: func(context.Context) (driver.Conn, error) {
			return failing{memqueue.New(nil), pushed}, nil
		}})
		m.Add(spool.ConnectionConfig{Name: "second", Open: func(context.Context) (driver.Conn, error) { return second, nil }})
		if _, err := spool.Dispatch(t.Context(), spool.NewClient(m, nil), note{"x"}); err == nil || second.pushes.Load() != 0 {
			t.Errorf("%s: %v, %d pushes to the second", what, err, second.pushes.Load())
		}
		_ = m.Close()
	}
}

type failing struct {
	*memqueue.Conn
	err error
}

func (f failing) Push(context.Context, string, []driver.Message) ([]string, error) { return nil, f.err }

// A job that ran at once and failed is not run again by the next connection.
func TestNoFailoverOfAJobThatRan(t *testing.T) {
	second := &fragile{Conn: memqueue.New(nil)}
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "both", Failover: []string{"sync", "second"}})
	m.Add(spool.ConnectionConfig{Name: "sync", Open: func(context.Context) (driver.Conn, error) {
		return syncqueue.New(func(context.Context, string, []byte) error { return errDown }), nil
	}})
	m.Add(spool.ConnectionConfig{Name: "second", Open: func(context.Context) (driver.Conn, error) { return second, nil }})
	if _, err := spool.Dispatch(t.Context(), spool.NewClient(m, nil), note{"x"}); !errors.Is(err, errDown) || second.pushes.Load() != 0 {
		t.Errorf("%v, %d pushes to the second", err, second.pushes.Load())
	}
	_ = m.Close()
}

// fakeTx is a transaction of no database that the connections are in.
type fakeTx struct{}

func (fakeTx) Commit() error   { return nil }
func (fakeTx) Rollback() error { return sql.ErrTxDone }

// What a transaction holds fails over when it is pushed.
func TestFailoverAfterACommit(t *testing.T) {
	f := newFleet(t)
	tx := f.InTx(fakeTx{})
	if _, err := spool.Dispatch(t.Context(), tx, note{"x"}); err != nil {
		t.Fatal(err)
	}
	f.first.down.Store(true)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := uuids(t, f.second, "b"); len(got) != 1 || len(f.events) != 1 {
		t.Errorf("the second holds %v, events %v", got, f.events)
	}
	tx = f.InTx(fakeTx{})
	if _, err := spool.Dispatch(t.Context(), tx, note{"x"}); err != nil {
		t.Fatal(err)
	}
	f.second.down.Store(true)
	missing, ok := errors.AsType[*spool.HeldError](tx.Commit(t.Context()))
	if !ok || len(missing.Jobs) != 1 || len(missing.Bodies) != 1 || !errors.Is(missing, errDown) {
		t.Errorf("with everything down: %v", missing)
	}
}

func TestFailoverOfFailovers(t *testing.T) {
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "outer", Failover: []string{"inner"}})
	m.Add(spool.ConnectionConfig{Name: "inner", Failover: []string{"none"}})
	c := spool.NewClient(m, nil)
	if _, err := spool.Dispatch(t.Context(), c, note{"x"}); err == nil || !strings.Contains(err.Error(), `"inner" is a failover`) {
		t.Errorf("outer: %v", err)
	}
	_, err := spool.Dispatch(t.Context(), c, note{"x"}, spool.OnConnection("inner"))
	if _, ok := errors.AsType[*spool.UnknownConnectionError](err); !ok {
		t.Errorf("inner: %v", err)
	}
}

func TestDegrade(t *testing.T) {
	f := newFleet(t)
	var ran []string
	f.Manager().Add(spool.ConnectionConfig{Name: "sync", Open: func(context.Context) (driver.Conn, error) {
		return syncqueue.New(func(_ context.Context, queue string, body []byte) error {
			p, err := spool.Native.Decode(body)
			ran = append(ran, p.UUID)
			return err
		}), nil
	}})
	f.first.down.Store(true)
	f.Manager().Degrade("sync")
	ref, err := spool.Dispatch(t.Context(), f, note{"x"}, spool.OnConnection("first"), spool.Delay(time.Hour))
	if err != nil || ref.Connection != "sync" || !slices.Equal(ran, []string{ref.UUID}) || f.Manager().Degraded() != "sync" {
		t.Errorf("degraded: %+v, %v, ran %v", ref, err, ran)
	}
	f.Manager().Degrade("")
	f.first.down.Store(false)
	if ref, err := spool.Dispatch(t.Context(), f, note{"x"}); err != nil || ref.Connection != "first" || len(ran) != 1 || f.Manager().Degraded() != "" {
		t.Errorf("after it: %+v, %v, ran %v", ref, err, ran)
	}
}

func TestDeferred(t *testing.T) {
	conn := &fragile{Conn: memqueue.New(nil)}
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "later", Deferred: true, Open: func(context.Context) (driver.Conn, error) { return conn, nil }})
	m.Add(spool.ConnectionConfig{Name: "now", Open: func(context.Context) (driver.Conn, error) { return conn, nil }})
	c := spool.NewClient(m, nil)
	t.Cleanup(func() { _ = m.Close() })
	dispatch := func(ctx context.Context, opts ...spool.DispatchOption) spool.Ref {
		t.Helper()
		ref, err := spool.Dispatch(ctx, c, note{"x"}, opts...)
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	request, cancel := context.WithCancel(t.Context())
	ctx, end := spool.Deferred(request)
	ref := dispatch(ctx)
	if ref.ID != "" || ref.UUID == "" || conn.pushes.Load() != 0 {
		t.Errorf("%+v, %d pushes before the end", ref, conn.pushes.Load())
	}
	dispatch(ctx, spool.OnConnection("now"))
	if n := conn.pushes.Load(); n != 1 {
		t.Errorf("%d pushes to another connection", n)
	}
	cancel() // as net/http does when the handler has returned
	for range 2 {
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	if n := conn.pushes.Load(); n != 2 {
		t.Errorf("%d pushes after the end", n)
	}
	// After the end, and without any scope, it goes at once.
	dispatch(context.WithoutCancel(ctx))
	dispatch(t.Context())
	if n := conn.pushes.Load(); n != 4 {
		t.Errorf("%d pushes without a scope", n)
	}
	ctx, end = spool.Deferred(t.Context())
	dispatch(ctx)
	conn.down.Store(true)
	missing, ok := errors.AsType[*spool.HeldError](end())
	if !ok || len(missing.Jobs) != 1 || !errors.Is(missing, errDown) {
		t.Errorf("with the server down: %v", missing)
	}
}
