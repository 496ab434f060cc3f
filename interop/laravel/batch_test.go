package laravel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/worker"
)

const importJob = `App\Jobs\Import`

// Batches are in the application's database, wherever its queues are. PHP's have
// one queue, on which both sides take turns; members of Go's run in PHP where
// their queue is "php", and in Go where it is "go".
func TestBatches(t *testing.T) {
	everywhere := []string{"database", "phpredis"}
	own := func(show func(*testing.T, *application)) func(*testing.T, *application) {
		return func(t *testing.T, a *application) { a.ownTables(); show(t, a) }
	}
	matrix(t,
		cell{name: "PHP's batch, its last member ends in Go", show: own(batchLastInGo), on: everywhere},
		cell{name: "PHP's batch, its last member ends in PHP", show: own(batchLastInPHP), on: everywhere},
		cell{name: "PHP's batch, members fail on both sides, retried to the end", show: own(batchFailures), on: everywhere},
		cell{name: "PHP's batch, a failure in Go cancels it", show: own(batchCancelledByGo), on: everywhere},
		cell{name: "PHP's batch, cancelled by PHP", show: own(batchCancel), on: everywhere},
		cell{name: "PHP's batch, cancelled by Go", show: own(batchCancelledByGoHand), on: everywhere},
		cell{name: "PHP's batch, whose closure throws", show: own(batchClosureThrows), on: []string{"sqlite"}},
		cell{name: "PHP's batch, closures have a queue of their own", show: own(batchClosuresElsewhere), on: []string{"pgsql"}, env: map[string]string{"SPOOL_PHP_QUEUE": "closures"}},
		cell{name: "Go's batch, its last member ends in PHP", show: own(batchFromGoLastInPHP), on: everywhere},
		cell{name: "Go's batch, members fail on both sides", show: own(batchFromGoFailures), on: everywhere},
		// On SQLite Laravel's counting breaks off as soon as anybody else writes,
		// another worker in PHP included: "database is locked".
		cell{name: "both sides count a batch at the same time", show: own(batchContention), on: []string{"mysql", "pgsql"}},
		cell{name: "batches are pruned by the other side", show: own(batchCommands), on: []string{"database"}},
		cell{name: "without Spool's tables, a batch's last member ends in Go", show: batchLastInGo, on: everywhere},
		cell{name: "without Spool's tables, members of a batch fail on both sides", show: batchFailures, on: []string{"database"}},
	)
}

// ownTables makes the tables that Spool has beside Laravel's.
func (a *application) ownTables() {
	a.t.Helper()
	set := a.spool(nil)
	for _, table := range set.Tables() {
		if table.Names.BatchEnds == "" && table.Names.BatchCallbacks == "" {
			continue
		}
		db, err := set.Database(a.t.Context(), table.Database)
		if err == nil {
			_, err = schema.Create(a.t.Context(), db, table.Names)
		}
		if err != nil {
			a.t.Fatal(err)
		}
	}
}

// batchRow is what one side says of a batch.
type batchRow struct {
	ID, Name               string
	Total, Pending, Failed int
	FailedIDs              []string
	Cancelled, Finished    bool
	Progress               int
	Queue                  string
	AllowFailures          bool
}

// batch returns the only batch as both sides see it, which must be the same.
func (a *application) batch() batchRow {
	a.t.Helper()
	var php batchRow
	if err := json.Unmarshal([]byte(a.run("batches.php")), &php); err != nil {
		a.t.Fatal(err)
	}
	b, err := a.spool(nil).Client.FindBatch(a.t.Context(), php.ID)
	if err != nil {
		a.t.Fatal(err)
	}
	ours := batchRow{
		ID: b.ID, Name: b.Name, Total: b.Total, Pending: b.Pending, Failed: b.Failed, FailedIDs: b.FailedIDs,
		Cancelled: b.Cancelled(), Finished: b.Finished(), Progress: b.Progress(),
		Queue: b.Options.Queue, AllowFailures: b.Options.AllowFailures,
	}
	if ours.FailedIDs == nil {
		ours.FailedIDs = []string{}
	}
	if d := cmp.Diff(php, ours); d != "" {
		a.t.Errorf("the sides see different batches (-PHP +Go)\n%s", d)
	}
	return ours
}

func (b batchRow) String() string {
	s := fmt.Sprintf("%s %d/%d failed %d (%d)", b.Name, b.Pending, b.Total, b.Failed, len(b.FailedIDs))
	if b.Cancelled {
		s += " cancelled"
	}
	if b.Finished {
		s += " finished"
	}
	return s
}

func (a *application) batchIs(want string) {
	a.t.Helper()
	if got := a.batch().String(); got != want {
		a.t.Errorf("the batch is %q, want %q", got, want)
	}
}

// imports are the members and callbacks that run in Go.
type imports struct {
	mu    sync.Mutex
	fails map[int]bool // members that fail
	ran   []string
	stop  context.CancelFunc // called when something was told
}

func (s *imports) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran = append(s.ran, fmt.Sprintf(format, args...))
}

// told is a callback in Go.
type told struct {
	What string `json:"what"`
}

func (s *imports) mux() *spool.Mux {
	mux := spool.NewMux()
	mux.HandleFunc(importJob, func(ctx context.Context, job *spool.Job) error {
		var member struct{ Part int }
		if err := job.Decode(&member); err != nil {
			return err
		}
		b, err := spool.BatchFrom(ctx)
		if err != nil {
			return err
		}
		if s.fails[member.Part] {
			return errors.New("缺货 " + fmt.Sprint(member.Part))
		}
		s.say("go handled %d of %d", member.Part, b.Total)
		return nil
	}, spool.Through(spool.SkipIfBatchCancelled))
	spool.Handle(mux, func(ctx context.Context, job told) error {
		b, err := spool.BatchFrom(ctx)
		if err == nil {
			s.say("go told %s of %s: %d/%d, %d failed", job.What, b.Name, b.Pending, b.Total, b.Failed)
			if s.stop != nil {
				s.stop()
			}
		}
		return err
	})
	return mux
}

// inGo works the queue of Go's members.
func (s *imports) inGo(a *application) {
	a.t.Helper()
	a.workGo(s.mux(), func(o *worker.Options) { o.Queues = []string{"go"} })
}

// some has Go run the next few jobs of the queue of PHP's batches.
func (s *imports) some(a *application, n int) {
	a.t.Helper()
	a.workGo(s.mux(), func(o *worker.Options) { o.Queues, o.Concurrency, o.MaxJobs = []string{"imports"}, 1, n })
}

// someInPHP has PHP run the next few jobs of that queue.
func (a *application) someInPHP(n int) {
	a.t.Helper()
	a.work("--queue=imports", fmt.Sprintf("--max-jobs=%d", n))
}

// lines returns what ran, in Go first.
func (s *imports) lines(a *application) []string {
	lines := slices.Clone(s.ran)
	for _, r := range a.reports() {
		lines = append(lines, "php "+r.Event+" "+string(r.Data))
	}
	slices.Sort(lines)
	return lines
}

func (s *imports) expect(a *application, want ...string) {
	a.t.Helper()
	slices.Sort(want)
	if d := cmp.Diff(want, s.lines(a)); d != "" {
		a.t.Errorf("what ran (-want +got)\n%s", d)
	}
}

var mixedEnd = []string{`php then ["mixed 批",4,0,0,false,null]`, `php finally ["mixed 批",4,0,0,false,null]`}

func batchLastInGo(_ *testing.T, a *application) {
	a.push("batch", 1)
	var s imports
	a.batchIs("mixed 批 4/4 failed 0 (0)")
	a.someInPHP(2)
	a.batchIs("mixed 批 2/4 failed 0 (0)")
	s.some(a, 2)
	a.batchIs("mixed 批 0/4 failed 0 (0) finished")
	a.work("--queue=imports") // the closures
	s.expect(a, append([]string{"go handled 3 of 4", "go handled 4 of 4", "php handled 1", "php handled 2"}, mixedEnd...)...)
	a.isEmpty("imports")
}

func batchLastInPHP(_ *testing.T, a *application) {
	a.push("batch", 1)
	var s imports
	s.some(a, 2)
	a.batchIs("mixed 批 2/4 failed 0 (0)")
	a.work("--queue=imports")
	a.batchIs("mixed 批 0/4 failed 0 (0) finished")
	s.expect(a, append([]string{"go handled 1 of 4", "go handled 2 of 4", "php handled 3", "php handled 4"}, mixedEnd...)...)
	a.isEmpty("imports")
}

func batchFailures(t *testing.T, a *application) {
	a.push("batch with failures", 1)
	s := imports{fails: map[int]bool{1: true, 3: true}}
	s.some(a, 1)
	a.batchIs("failing 3/3 failed 1 (1)")
	a.someInPHP(1)
	a.batchIs("failing 2/3 failed 1 (1)")
	s.some(a, 1)
	a.batchIs("failing 2/3 failed 2 (2)")
	for _, uuid := range a.batch().FailedIDs {
		if !strings.Contains(a.artisan("queue:failed"), uuid) {
			t.Errorf("queue:failed doesn't list %s", uuid)
		}
	}
	a.work("--queue=imports")
	ran := []string{"php handled 2", `php catch ["failing",3,2,2,false,"RuntimeException: 缺货 1"]`, `php finally ["failing",3,2,2,false,"RuntimeException: 缺货 3"]`}
	s.expect(a, ran...)

	// Retried by Laravel's own command, and then it is done.
	a.artisan("queue:retry-batch", a.batch().ID)
	s.fails = nil
	s.some(a, 2)
	a.batchIs("failing 0/3 failed 2 (0) finished")
	a.work("--queue=imports")
	s.expect(a, append(ran, "go handled 1 of 3", "go handled 3 of 3", `php then ["failing",3,0,2,false,null]`)...)
	a.isEmpty("imports")
}

func batchCancelledByGo(_ *testing.T, a *application) {
	a.push("batch that a failure cancels", 1)
	s := imports{fails: map[int]bool{1: true}}
	s.some(a, 1)
	a.batchIs("cancelled 3/3 failed 1 (1) cancelled finished")
	a.someInPHP(1)
	s.some(a, 1) // it skips itself, which counts as done
	a.batchIs("cancelled 1/3 failed 1 (1) cancelled finished")
	a.work("--queue=imports")
	s.expect(a, "php skipped 2", `php catch ["cancelled",3,1,1,true,"RuntimeException: 缺货 1"]`, `php finally ["cancelled",3,1,1,true,null]`)
}

func batchCancel(t *testing.T, a *application) {
	a.push("batch", 1)
	var s imports
	a.run("batches.php", "cancel", a.batch().ID)
	s.some(a, 2)
	a.batchIs("mixed 批 2/4 failed 0 (0) cancelled finished")
	s.expect(a)

	b, err := a.spool(nil).Client.FindBatch(t.Context(), a.batch().ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Cancel(t.Context()); err != nil { // again: nothing changes
		t.Fatal(err)
	}
	a.work("--queue=imports")
	a.batchIs("mixed 批 0/4 failed 0 (0) cancelled finished")
	s.expect(a, "php skipped 3", "php skipped 4",
		`php then ["mixed 批",4,0,0,true,null]`, `php finally ["mixed 批",4,0,0,true,null]`)
}

func batchCancelledByGoHand(t *testing.T, a *application) {
	a.push("batch", 1)
	b, err := a.spool(nil).Client.FindBatch(t.Context(), a.batch().ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Cancel(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.batchIs("mixed 批 4/4 failed 0 (0) cancelled finished")
	a.someInPHP(1)
	var s imports
	s.expect(a, "php skipped 1")
}

func batchClosureThrows(t *testing.T, a *application) {
	a.push("batch whose closure throws", 1)
	var s imports
	s.some(a, 1)
	a.work("--queue=imports")
	s.expect(a, "go handled 1 of 1", `php then ["throws",1,0,0,false,null]`)
	if !strings.Contains(a.log(), "ERROR: broken") {
		t.Error("Laravel has not reported the exception")
	}
	a.isEmpty("imports")
}

func batchClosuresElsewhere(_ *testing.T, a *application) {
	a.push("batch", 1)
	var s imports
	a.someInPHP(2)
	s.some(a, 2)
	a.isEmpty("imports")
	a.work("--queue=closures")
	s.expect(a, append([]string{"go handled 3 of 4", "go handled 4 of 4", "php handled 1", "php handled 2"}, mixedEnd...)...)
}

// member is a member as Go makes it.
func member(part int, queue string, refused bool) *laravel.Command {
	return laravel.NewCommand(importJob, laravel.Protected("part", part), laravel.Protected("refused", refused)).OnQueue(queue)
}

// until works Go's queues until a callback was told, as a daemon does, which
// sweeps.
func (s *imports) until(a *application) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	s.stop = cancel
	w := a.goWorker(s.mux(), func(o *worker.Options) { o.Queues, o.Sleep = []string{"go"}, 20*time.Millisecond })
	if _, err := w.Run(ctx); err != nil {
		a.t.Fatal(err)
	}
	s.stop = nil
}

func batchFromGoLastInPHP(t *testing.T, a *application) {
	_, err := a.spool(nil).Client.Batch(member(1, "go", false), member(2, "php", false), member(3, "php", false)).
		Name("von Go 批").OnQueue("go").Then(told{"then"}).Catch(told{"catch"}).Dispatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.batchIs("von Go 批 3/3 failed 0 (0)")
	var s imports
	s.inGo(a)
	a.work("--queue=php")
	a.batchIs("von Go 批 0/3 failed 0 (0) finished")
	s.until(a)
	s.expect(a, "go handled 1 of 3", "php handled 2", "php handled 3", "go told then of von Go 批: 0/3, 0 failed")
}

func batchFromGoFailures(t *testing.T, a *application) {
	set := a.spool(nil)
	_, err := set.Client.Batch(member(1, "php", true), member(2, "go", false), member(3, "php", false), member(4, "go", false)).
		Name("x").OnQueue("go").AllowFailures().Then(told{"then"}).Finally(told{"finally"}).Dispatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a.work("--queue=php")
	a.batchIs("x 3/4 failed 1 (1)")
	s := imports{fails: map[int]bool{4: true}}
	s.inGo(a) // its end is the last, and the callback runs here
	a.batchIs("x 2/4 failed 2 (2)")
	s.expect(a, "php handled 3", "go handled 2 of 4", "go told finally of x: 2/4, 2 failed")
}

func batchContention(t *testing.T, a *application) {
	const each = 15
	var jobs []any
	for i := range each {
		jobs = append(jobs, member(i, "go", false), member(each+i, "php", false))
	}
	_, err := a.spool(nil).Client.Batch(jobs...).Name("both").OnQueue("go").Dispatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var s imports
	var wg sync.WaitGroup
	wg.Go(func() { s.inGo(a) })
	a.work("--queue=php")
	wg.Wait()
	a.batchIs(fmt.Sprintf("both 0/%d failed 0 (0) finished", 2*each))
	if n := len(s.lines(a)); n != 2*each {
		t.Errorf("%d members ran", n)
	}
}

func batchCommands(t *testing.T, a *application) {
	a.push("batch", 1)
	var s imports
	s.some(a, 2)
	a.work("--queue=imports")
	store, err := a.spool(nil).Manager.BatchStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	if n, err := store.Prune(t.Context(), spool.FinishedBatches, later); n != 1 || err != nil {
		t.Errorf("Spool has pruned %d, %v", n, err)
	}
	if out := a.run("batches.php"); out != "" {
		t.Errorf("Laravel still has %s", out)
	}

	// The other way, with what Spool keeps beside.
	a.push("batch", 1)
	id := a.batch().ID
	s.some(a, 2)
	a.work("--queue=imports")
	a.run("batches.php", "prune")
	if _, err := store.Find(t.Context(), id); !errors.Is(err, spool.ErrBatchNotFound) {
		t.Errorf("after Laravel's pruning: %v", err)
	}
	if n, err := store.Prune(t.Context(), spool.FinishedBatches, later); n != 0 || err != nil {
		t.Errorf("Spool has pruned %d, %v", n, err)
	}
}
