package proof

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/redisdb"
	"github.com/spoolq/spool/worker"
)

// What a job costs in round trips doesn't depend on the machine, or only a
// little: the busier it is, the larger are the batches. So it is counted, at
// the server, and bounded well above what is usual.
func TestWhatAJobCostsTheServer(t *testing.T) {
	for _, c := range []struct {
		kind, unit string
		most       struct{ one, bulk, drain float64 } // for each job
	}{
		// Usual are 1, 0.02 and 0.1.
		{onRedis, "socket reads", struct{ one, bulk, drain float64 }{1.2, 0.1, 0.5}},
		// Usual are 1, 0.003 and 0.2: a batch takes six statements.
		{onMySQL, "statements", struct{ one, bulk, drain float64 }{1.2, 0.05, 1}},
		// Usual are 1.3, 0.004 and 0.1: some of the commits are NOTIFY's.
		{onPostgres, "commits", struct{ one, bulk, drain float64 }{2.2, 0.05, 0.5}},
	} {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			p := ownPlace(t, c.kind)
			const n = 2000
			p.cost(t, c.unit+" a job pushed alone", n/4, c.most.one, func(s *store) {
				for range n / 4 {
					if _, err := spool.Dispatch(t.Context(), s.client, Work{}); err != nil {
						t.Fatal(err)
					}
				}
			})
			p.cost(t, c.unit+" a job pushed with 1,000", n, c.most.bulk, func(s *store) { s.dispatch(t, make([]Work, n)) })
			p.cost(t, c.unit+" a job worked, 100 at a time", n+n/4, c.most.drain, func(s *store) { s.drain(t, n+n/4) })
		})
	}
}

// ownPlace returns a queue on a server, or in a database, that nobody else
// uses: its counters are ours.
func ownPlace(t *testing.T, kind string) place {
	t.Helper()
	p := place{Kind: kind, RetryAfter: time.Minute}
	switch kind {
	case onRedis:
		p.Address = testserver.NewRedis(t).Addr
	case onMySQL:
		p.Address = testserver.NewMySQL(t).DSN
	case onPostgres:
		p.Address = testserver.Postgres(t)
	}
	return p.prepare(t)
}

// drain works n jobs.
func (s *store) drain(t *testing.T, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var ran atomic.Int64
	mux := spool.NewMux()
	spool.Handle(mux, func(context.Context, Work) error { ran.Add(1); return nil })
	var running sync.WaitGroup
	running.Go(func() {
		if _, err := worker.New(s.conn, mux, &worker.Options{Concurrency: 100, MaxJobs: n}).Run(ctx); err != nil {
			t.Error(err)
		}
	})
	running.Wait()
	if ran.Load() != int64(n) {
		t.Errorf("%d jobs ran, want %d", ran.Load(), n)
	}
}

// cost opens the place for f and compares what the server counted for each of
// n jobs.
func (p place) cost(t *testing.T, what string, n int, most float64, f func(*store)) {
	t.Helper()
	before := p.counted(t)
	s, err := p.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f(s)
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	per := float64(p.counted(t)-before) / float64(n)
	t.Logf("%.3f %s", per, what)
	if per <= 0 || per > most {
		t.Errorf("%.3f %s, want at most %.3f", per, what, most)
	}
}

// counted asks the server for its count.
func (p place) counted(t *testing.T) int64 {
	t.Helper()
	var text string
	switch p.Kind {
	case onRedis:
		text = p.redisReads(t)
	default:
		query := "SHOW GLOBAL STATUS LIKE 'Questions'"
		if p.Kind == onPostgres { // it counts what a connection did when that is gone
			query = "SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS connected," +
				" xact_commit FROM pg_stat_database WHERE datname = current_database()"
		}
		db, err := p.database()
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var label string
		eventually(t, 10*time.Second, func() bool {
			if err := db.SQL().QueryRowContext(t.Context(), query).Scan(&label, &text); err != nil {
				t.Fatal(err)
			}
			return label == "Questions" || label == "1"
		}, func() string { return label + " connections are still open" })
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (p place) redisReads(t *testing.T) string {
	t.Helper()
	host, port, err := net.SplitHostPort(p.Address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	client, err := redisdb.Open(t.Context(), redisdb.Options{Host: host, Port: number})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	info, err := client.Do(t.Context(), client.B().Info().Section("stats").Build()).ToString()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "total_reads_processed:"); ok {
			return n
		}
	}
	t.Skip("this Redis doesn't count socket reads (before 7.0)")
	return ""
}
