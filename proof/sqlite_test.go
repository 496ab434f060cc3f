package proof

import (
	"database/sql"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool"
)

// Two worker processes and a producer share a file with a program that holds
// its lock for seconds: everybody waits, nobody hears of a locked database,
// and nothing is lost or run twice.
func TestForeignWriterHoldsTheFile(t *testing.T) {
	p := newPlace(t, onSQLite, 90*time.Second)
	s := p.use(t)
	f := newFleet(t, program{Place: p, Concurrency: 10})
	f.startReady(2)
	uuids := s.dispatch(t, make([]Work, 2000))

	var holder sync.WaitGroup
	holder.Go(func() { holdLock(t, p.Address, 3, 2*time.Second) })
	for range 50 {
		ref, err := spool.Dispatch(t.Context(), s.client, Work{Take: 10 * time.Millisecond})
		if err != nil {
			t.Errorf("dispatch: %v", err)
			break
		}
		uuids = append(uuids, ref.UUID)
		time.Sleep(20 * time.Millisecond) // the producer's own pace
	}
	holder.Wait()
	s.awaitEmpty(t, time.Minute)
	f.stop()
	f.history().once(t, uuids)
	if logs := f.logs(); strings.Contains(logs, "locked") || strings.Contains(logs, "SQLITE_BUSY") {
		t.Errorf("the workers have noticed:\n%.2000s", logs)
	}
}

// holdLock takes the write lock of a file several times, as a program that
// knows nothing of Spool.
func holdLock(t *testing.T, file string, times int, d time.Duration) {
	db, err := sql.Open("sqlite", file+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		t.Error(err)
		return
	}
	defer db.Close()
	for range times {
		tx, err := db.Begin()
		if err != nil {
			t.Errorf("the foreign writer: %v", err)
			return
		}
		time.Sleep(d)
		if err := tx.Commit(); err != nil {
			t.Errorf("the foreign writer: %v", err)
		}
		time.Sleep(100 * time.Millisecond) // the others' turn
	}
}
