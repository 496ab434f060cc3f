package spool_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/syncqueue"
)

// A client's extension may add keys whether or not the dispatch has some, and
// those of one job are not the next one's.
func TestExtendAddsKeysToOneJob(t *testing.T) {
	for name, opts := range map[string][]spool.DispatchOption{"without others": nil, "beside others": {spool.Extra("tags", "x")}} {
		t.Run(name, func(t *testing.T) {
			mem := memqueue.New(nil)
			m := spool.NewManager(nil)
			m.Add(spool.ConnectionConfig{Name: "mem", Open: func(context.Context) (driver.Conn, error) { return mem, nil }})
			n := 0
			c := spool.NewClient(m, &spool.ClientOptions{Extend: []func(*spool.Draft){func(d *spool.Draft) {
				if n++; n == 1 {
					d.Extra["first"] = true
				}
			}}})
			if _, err := spool.DispatchAll(t.Context(), c, []receipt{{1}, {2}}, opts...); err != nil {
				t.Fatal(err)
			}
			entries, _, err := mem.List(t.Context(), "default", driver.Pending, "", 10)
			if err != nil || len(entries) != 2 {
				t.Fatal(entries, err)
			}
			for i, e := range entries {
				if got := strings.Contains(string(e.Body), `"first":true`); got != (i == 0) {
					t.Errorf("job %d: %s", i, e.Body)
				}
			}
		})
	}
}

// refusing is a backend that refuses some bodies for a reason of its own.
type refusing struct{ *memqueue.Conn }

func (r refusing) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	for i, m := range ms {
		if strings.Contains(string(m.Body), "refused") {
			return nil, &driver.LimitError{Index: i, What: "depth", Have: 2, Max: 1}
		}
	}
	time.Sleep(time.Second) // others gather meanwhile
	return r.Conn.Push(ctx, queue, ms)
}

// A caller with one job is told of its first job, whatever it was gathered with.
func TestARefusedJobIsItsCallersFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := spool.Connect(refusing{memqueue.New(nil)})
		conn, err := c.Manager().Connection(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{}, 4)
		for _, body := range []string{"leader", "a", "refused", "b"} {
			go func() {
				_, err := conn.PushRaw(t.Context(), "", []byte(body), 0)
				limit, refused := errors.AsType[*driver.LimitError](err)
				if refused != (body == "refused") || refused && limit.Index != 0 {
					t.Errorf("%s: %v %+v", body, err, limit)
				}
				done <- struct{}{}
			}()
			synctest.Wait()
		}
		for range 4 {
			<-done
		}
	})
}

func TestAListenerThatPanicsDoesNotReachTheDispatcher(t *testing.T) {
	c := spool.Connect(memqueue.New(nil))
	var log strings.Builder
	ev := c.Manager().Events()
	ev.Logger = slog.New(slog.NewTextHandler(&log, nil))
	spool.Listen(ev, func(context.Context, spool.JobQueued) { panic("of a listener") })
	if _, err := spool.Dispatch(t.Context(), c, receipt{1}); err != nil {
		t.Error(err)
	}
	if s := log.String(); !strings.Contains(s, "of a listener") || !strings.Contains(s, "spool.JobQueued") || !strings.Contains(s, "dispatch_test.go") {
		t.Errorf("logged %s", s)
	}
}

// Jobs that are held may dispatch more when they are let go: from a listener,
// or because they run at once.
func TestWhatACommitSetsOffMayDispatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memqueue.New(nil)
		m := spool.NewManager(nil)
		c := spool.NewClient(m, nil)
		var errs []error
		more := func(ctx context.Context) {
			_, err := spool.Dispatch(ctx, c, receipt{2}, spool.OnConnection("mem"))
			errs = append(errs, err)
		}
		m.Add(spool.ConnectionConfig{Name: "mem", AfterCommit: true, Open: func(context.Context) (driver.Conn, error) { return mem, nil }})
		m.Add(spool.ConnectionConfig{Name: "sync", AfterCommit: true, Open: func(context.Context) (driver.Conn, error) {
			return syncqueue.New(func(ctx context.Context, _ string, _ []byte) error { more(ctx); return nil }), nil
		}})
		spool.Listen(m.Events(), func(ctx context.Context, e spool.JobQueued) {
			if e.Connection == "sync" {
				more(ctx)
			}
		})
		tx := c.InTx(fakeTx{})
		ctx := spool.NewTxContext(t.Context(), tx)
		if _, err := spool.Dispatch(ctx, c, receipt{1}, spool.OnConnection("sync")); err != nil {
			t.Fatal(err)
		}
		if len(errs) != 0 {
			t.Error("it ran before the commit")
		}
		if err := tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if len(errs) != 2 || errors.Join(errs...) != nil {
			t.Errorf("dispatched from the job and from the listener: %v", errs)
		}
		if size, _ := mem.Size(ctx, "default"); size.Pending != 2 {
			t.Errorf("%+v", size)
		}
		// The transaction of the context is over: there is nothing to wait for.
		if _, err := spool.Dispatch(ctx, c, receipt{3}, spool.OnConnection("mem")); err != nil {
			t.Error(err)
		}
		if _, err := spool.Dispatch(ctx, tx, receipt{4}, spool.OnConnection("mem")); !errors.Is(err, spool.ErrTxDone) {
			t.Errorf("by the transaction itself: %v", err)
		}
	})
}

// slowOpen is a backend that takes an hour to open.
func slowOpen(opened *int, closed *bool) func(context.Context) (driver.Conn, error) {
	return func(context.Context) (driver.Conn, error) {
		*opened++
		time.Sleep(time.Hour)
		return &closable{Conn: memqueue.New(nil), closed: closed}, nil
	}
}

type closable struct {
	*memqueue.Conn
	closed *bool
}

func (c *closable) Close() error { *c.closed = true; return c.Conn.Close() }

func TestNobodyWaitsLongerForAnOpeningThanHisContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened, closed := 0, false
		m := spool.NewManager(nil)
		m.Add(spool.ConnectionConfig{Name: "x", Open: slowOpen(&opened, &closed)})
		first := make(chan error, 1)
		go func() { _, err := m.Connection(t.Context(), ""); first <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if _, err := m.Connection(ctx, ""); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if err := <-first; err != nil || opened != 1 {
			t.Errorf("the first: %v, opened %d times", err, opened)
		}
		if _, err := m.Connection(t.Context(), ""); err != nil || opened != 1 {
			t.Errorf("the next: %v, opened %d times", err, opened)
		}
	})
}

func TestCloseDoesNotWaitForAnOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened, closed := 0, false
		m := spool.NewManager(nil)
		m.Add(spool.ConnectionConfig{Name: "x", Open: slowOpen(&opened, &closed)})
		first := make(chan error, 1)
		go func() { _, err := m.Connection(t.Context(), ""); first <- err }()
		synctest.Wait()
		begun := time.Now()
		if err := m.Close(); err != nil || time.Since(begun) > 0 {
			t.Errorf("closed after %v: %v", time.Since(begun), err)
		}
		if err := <-first; !errors.Is(err, driver.ErrClosed) || !closed {
			t.Errorf("what was being opened: %v, closed %v", err, closed)
		}
	})
}

func TestPolicyThatNobodyCanMean(t *testing.T) {
	for _, c := range []struct {
		keys  string
		check func(p spool.Policy) bool
	}{
		{`"retryUntil":0`, func(p spool.Policy) bool { return p.RetryUntil.IsZero() }},
		{`"timeoutAt":0`, func(p spool.Policy) bool { return p.RetryUntil.IsZero() }},
		// Wrapped around, this would be a third of a second.
		{`"timeout":18446744074`, func(p spool.Policy) bool { return *p.Timeout > 100*365*24*time.Hour }},
		{`"timeout":-18446744074`, func(p spool.Policy) bool { return *p.Timeout <= 0 }},
		{`"timeout":1e18`, func(p spool.Policy) bool { return *p.Timeout > 100*365*24*time.Hour }},
		{`"maxExceptions":0`, func(p spool.Policy) bool { return p.MaxExceptions == 1 }},
		{`"maxExceptions":-3`, func(p spool.Policy) bool { return p.MaxExceptions == 1 }},
		{`"maxTries":-1`, func(p spool.Policy) bool { return *p.Tries == -1 }},
		{`"backoff":"-5,7"`, func(p spool.Policy) bool { return p.BackoffAfter(1) == 0 && p.BackoffAfter(2) == 7*time.Second }},
		{`"backoff":1e12`, func(p spool.Policy) bool { return p.BackoffAfter(1) > 100*365*24*time.Hour }},
	} {
		p, err := spool.Native.Decode([]byte(`{"job":"x",` + c.keys + `}`))
		if err != nil || !c.check(p.Policy) {
			t.Errorf("%s: %+v, %v", c.keys, p, err)
		}
	}
}

func TestTheLongestTimeoutSurvivesTheWire(t *testing.T) {
	mem := memqueue.New(nil)
	c := spool.Connect(mem)
	if _, err := spool.Dispatch(t.Context(), c, receipt{1}, spool.Timeout(1<<63-1)); err != nil {
		t.Fatal(err)
	}
	entries, _, _ := mem.List(t.Context(), "default", driver.Pending, "", 1)
	p, err := spool.Native.Decode(entries[0].Body)
	if err != nil || *p.Policy.Timeout < 100*365*24*time.Hour {
		t.Errorf("%v, %v", *p.Policy.Timeout, err)
	}
}

func TestARetryMovesADeadlineThatHasPassed(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for body, want := range map[string]string{
		`{"attempts":3,"retryUntil":0,"job":"x"}`:                           `{"attempts":0,"retryUntil":0,"job":"x"}`,
		`{"retryUntil":null,"timeoutAt":null}`:                              `{"retryUntil":null,"timeoutAt":null}`,
		`{"retryUntil":1000001}`:                                            `{"retryUntil":1000001}`,
		`{"retryUntil":1000000}`:                                            `{"retryUntil":1086400}`,
		`{"retryUntil":"900000"}`:                                           `{"retryUntil":1086400}`,
		`{"createdAt":900000,"retryUntil":900060}`:                          `{"createdAt":900000,"retryUntil":1000060}`,
		`{"timeoutAt":900060,"data":{"timeoutAt":1},"attempts":9}`:          `{"timeoutAt":1086400,"data":{"timeoutAt":1},"attempts":0}`,
		`{"data":{"attempts":7,"retryUntil":1},"attempts":2,"tries":"two"}`: `{"data":{"attempts":7,"retryUntil":1},"attempts":0,"tries":"two"}`,
	} {
		got, err := spool.Native.Retry([]byte(body), now)
		if err != nil || string(got) != want {
			t.Errorf("%s\n got %s, %v\nwant %s", body, got, err, want)
		}
	}
}

// A job that is dispatched again under the uuid of a text is known by it; what
// the job carries, and what is said of it, is kept.
func TestDispatchAs(t *testing.T) {
	mem := memqueue.New(nil)
	c := spool.Connect(mem)
	uuid := spool.UUIDOf("daily 1767225600")
	if uuid != spool.UUIDOf("daily 1767225600") || uuid == spool.UUIDOf("daily 1767225601") || len(uuid) != 36 || uuid[14] != '8' {
		t.Errorf("the uuid is %s", uuid)
	}
	for range 2 {
		ref, err := spool.DispatchAs(t.Context(), c, uuid, spool.WithName("report", nil, spool.OnQueue("low"), spool.Tries(7)), spool.OnQueue("high"))
		if err != nil || ref.UUID != uuid || ref.Queue != "high" {
			t.Fatal(ref, err)
		}
	}
	entries, _, err := mem.List(t.Context(), "high", driver.Pending, "", 10)
	if err != nil || len(entries) != 2 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		p, err := spool.Native.Decode(e.Body)
		if err != nil || p.UUID != uuid || p.Name != "report" || p.Policy.Tries == nil || *p.Policy.Tries != 7 {
			t.Errorf("%s, %v", e.Body, err)
		}
	}
	if _, err := spool.DispatchAs(t.Context(), c, uuid, nil); err == nil {
		t.Error("a nil job was dispatched")
	}
	for want, job := range map[string]any{"receipt": receipt{1}, "report": spool.WithName("report", 1)} {
		if name, err := spool.JobName(job); err != nil || name != want {
			t.Errorf("the name is %q, %v; want %q", name, err, want)
		}
	}
}

// A job with options of its own is itself wherever one job is dispatched, and
// refused where it would share the options of others.
func TestDispatchOfAJobWithOptions(t *testing.T) {
	mem := memqueue.New(nil)
	c := spool.Connect(mem)
	ref, err := spool.Dispatch(t.Context(), c, spool.With(receipt{1}, spool.OnQueue("low"), spool.Tries(7)), spool.OnQueue("high"))
	if err != nil || ref.Queue != "high" {
		t.Fatal(ref, err)
	}
	entries, _, err := mem.List(t.Context(), "high", driver.Pending, "", 10)
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	p, err := spool.Native.Decode(entries[0].Body)
	if err != nil || p.Name != "receipt" || p.Policy.Tries == nil || *p.Policy.Tries != 7 {
		t.Errorf("%s, %v", entries[0].Body, err)
	}
	if refs, err := spool.DispatchAll(t.Context(), c, []any{spool.With(receipt{1}), spool.With(receipt{2})}); err == nil {
		t.Errorf("%v", refs)
	}
	if ref, err := spool.Dispatch(t.Context(), c, spool.With(spool.With(receipt{1}))); err == nil {
		t.Error(ref)
	}
}
