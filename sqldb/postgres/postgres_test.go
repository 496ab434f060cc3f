package postgres_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/postgres"
	"github.com/spoolq/spool/sqldb/schema"
)

func TestMain(m *testing.M) { testserver.Main(m) }

func open(t *testing.T, dsn string, opts *postgres.Options) *sqldb.DB {
	t.Helper()
	db, err := postgres.Open(dsn, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

var topic = sqldb.Topic{Table: "jobs", Queue: "emails"}

// listening returns a subscription of a database whose listener works. It
// works once a notification of another has come through.
func listening(t *testing.T, from, to *sqldb.DB) *sqldb.Subscription {
	t.Helper()
	sub := to.Signals().Subscribe(topic)
	t.Cleanup(sub.Close)
	to.Listen(topic.Table)
	to.Signals().Version(topic)
	for deadline := time.Now().Add(20 * time.Second); ; {
		from.Announce(topic)
		select {
		case <-sub.C():
			return sub
		case <-time.After(50 * time.Millisecond):
			if time.Now().After(deadline) {
				t.Fatal("no announcement arrives")
			}
		}
	}
}

// quiet waits until nothing has come for a while.
func quiet(sub *sqldb.Subscription) {
	for {
		select {
		case <-sub.C():
		case <-time.After(200 * time.Millisecond):
			return
		}
	}
}

func woken(t *testing.T, sub *sqldb.Subscription, what string) {
	t.Helper()
	select {
	case <-sub.C():
	case <-time.After(5 * time.Second):
		t.Errorf("%s didn't wake the listener", what)
	}
}

func TestAnnouncementsReachOtherProcessesInFew(t *testing.T) {
	dsn := testserver.Postgres(t)
	a, b := open(t, dsn, nil), open(t, dsn, nil)
	sub := listening(t, a, b)
	quiet(sub)
	before := b.Signals().Version(topic)
	start := time.Now()
	const n = 2000
	for range n {
		a.Announce(topic)
	}
	for time.Since(start) < 100*time.Millisecond {
		a.Announce(topic)
	}
	woken(t, sub, "an announcement")
	quiet(sub)
	if got := b.Signals().Version(topic) - before; got == 0 || got > 60 {
		t.Errorf("%d notifications for more than %d announcements in 100 ms", got, n)
	}
}

func TestLastAnnouncementGetsOutBeforeClose(t *testing.T) {
	dsn := testserver.Postgres(t)
	a, b := open(t, dsn, nil), open(t, dsn, nil)
	sub := listening(t, a, b)
	quiet(sub)
	short := open(t, dsn, nil)
	short.Announce(topic)
	if err := short.Close(); err != nil {
		t.Fatal(err)
	}
	woken(t, sub, "a process that pushes and ends")
}

func TestSecondTableIsListenedToLater(t *testing.T) {
	dsn := testserver.Postgres(t)
	a, b := open(t, dsn, nil), open(t, dsn, nil)
	first := listening(t, a, b)
	other := sqldb.Topic{Table: "other", Queue: "q"}
	sub := b.Signals().Subscribe(other)
	defer sub.Close()
	b.Signals().Version(other)
	b.Listen(other.Table)
	woken(t, sub, "listening to a second table") // it says so itself
	quiet(sub)
	a.Announce(other)
	woken(t, sub, "an announcement of the second table")
	quiet(first)
	a.Announce(topic)
	woken(t, first, "an announcement of the first table")
}

func TestTriggerTellsOfInsertsByOthers(t *testing.T) {
	dsn := testserver.Postgres(t)
	a, b := open(t, dsn, nil), open(t, dsn, nil)
	if _, err := schema.Create(t.Context(), a, schema.Names{Jobs: "jobs"}); err != nil {
		t.Fatal(err)
	}
	stmts, err := schema.NotifyTrigger(a.Dialect(), "jobs")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // it can be made again
		for _, s := range stmts {
			if _, err := a.SQL().ExecContext(t.Context(), s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
	sub := listening(t, a, b)
	quiet(sub)
	insert := func(queue string) {
		if _, err := a.SQL().ExecContext(t.Context(), "INSERT INTO jobs (queue, payload, attempts, available_at, created_at) VALUES ($1, '{}', 0, 0, 0)", queue); err != nil {
			t.Fatal(err)
		}
	}
	before := b.Signals().Version(topic)
	insert("another")
	insert("emails")
	woken(t, sub, "an INSERT")
	if got := b.Signals().Version(topic) - before; got != 1 {
		t.Errorf("the queue was announced %d times, want 1", got)
	}
}

func TestListenerSurvivesARestart(t *testing.T) {
	s := testserver.NewPostgres(t)
	var log lines
	a, b := open(t, s.DSN, nil), open(t, s.DSN, &postgres.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	sub := listening(t, a, b)
	s.Kill()
	s.Start()
	quiet(sub)
	listening(t, a, b) // it fails the test if nothing ever comes
	if n := log.count("can't listen"); n != 1 {
		t.Errorf("the outage was logged %d times, want once: %s", n, log.text())
	}
}

func TestPoolerThatSwallowsNotificationsIsNamed(t *testing.T) {
	var log lines
	db := open(t, throughPooler(t, testserver.Postgres(t)), &postgres.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	db.Listen("jobs")
	for deadline := time.Now().Add(20 * time.Second); log.count("pooler") == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing was said: %s", log.text())
		}
	}
}

// throughPooler stands in for a pooler in transaction mode: everything passes
// but notifications.
func throughPooler(t *testing.T, dsn string) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	server := net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer client.Close()
				backend, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				wg.Go(func() {
					defer backend.Close()
					_, _ = io.Copy(backend, client)
				})
				_ = copyMessages(client, backend)
			})
		}
	})
	return strings.Replace(dsn, server, l.Addr().String(), 1)
}

// copyMessages passes the server's messages on, except notifications ('A').
func copyMessages(to io.Writer, from io.Reader) error {
	head := make([]byte, 5)
	for {
		if _, err := io.ReadFull(from, head); err != nil {
			return err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(from, body); err != nil {
			return err
		}
		if head[0] == 'A' {
			continue
		}
		if _, err := to.Write(append(bytes.Clone(head), body...)); err != nil {
			return err
		}
	}
}

func TestSameDatabase(t *testing.T) {
	dsn, elsewhere := testserver.Postgres(t), testserver.Postgres(t)
	db, same, other := open(t, dsn, nil), open(t, dsn, nil), open(t, elsewhere, nil)
	for _, c := range []struct {
		of   *sqldb.DB
		want bool
	}{{db, true}, {same, true}, {other, false}} {
		tx, err := c.of.SQL().BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := db.SameDatabase(t.Context(), tx)
		if err != nil || got != c.want {
			t.Errorf("SameDatabase is %v, %v; want %v", got, err, c.want)
		}
		if _, err := tx.Exec("SELECT 1"); err != nil {
			t.Errorf("the question spoilt the transaction: %v", err)
		}
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	ptx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wrapped, ok := db.WrapTx(ptx)
	if !ok {
		t.Fatal("a pgx.Tx is not known")
	}
	if got, err := db.Holds(t.Context(), wrapped); err != nil || !got {
		t.Errorf("Holds of a pgx.Tx is %v, %v", got, err)
	}
	if err := ptx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := db.Holds(t.Context(), wrapped); !errors.Is(err, sql.ErrTxDone) {
		t.Errorf("Holds of a finished pgx.Tx: %v, want sql.ErrTxDone", err)
	}
}

func TestIdentityIsReadAgainAfterARestart(t *testing.T) {
	s := testserver.NewPostgres(t)
	db := open(t, s.DSN, &postgres.Options{NoListen: true})
	check := func() {
		t.Helper()
		tx, err := db.SQL().BeginTx(t.Context(), nil)
		for deadline := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(deadline); {
			tx, err = db.SQL().BeginTx(t.Context(), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if same, err := db.SameDatabase(t.Context(), tx); err != nil || !same {
			t.Errorf("SameDatabase of its own transaction: %v, %v", same, err)
		}
	}
	check()
	s.Stop()
	s.Start()
	check()
}

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) count(s string) int { return strings.Count(l.text(), s) }
