package laravel

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/retry"
	"github.com/spoolq/spool/worker"
)

const (
	stepJob       = `App\Jobs\Step`
	secretStepJob = `App\Jobs\SecretStep`
)

// Links of a chain run in PHP where their queue is "php", and in Go where it
// is "go".
func TestChains(t *testing.T) {
	matrix(t,
		cell{name: "PHP begins a chain, its links run here and there", show: chainFromPHP},
		cell{name: "Go begins a chain, its links run here and there", show: chainFromGo, on: []string{"predis", "mysql"}},
		cell{name: "a chain of encrypted jobs", show: secretChain, on: []string{"phpredis", "sqlite"}},
		cell{name: "a link fails in Go, PHP calls the closures that wait for it", show: chainCaughtByPHP, on: []string{"phpredis", "pgsql", "beanstalkd"}},
		cell{name: "a link fails in PHP, the job that Go gave to Catch runs", show: chainCaughtByGo, on: []string{"predis", "mysql"}},
	)
}

// steps are the links that ran, on either side, in their order.
type steps struct {
	mu    sync.Mutex
	fails string // a link that fails in Go
	ran   []string
	told  []spool.Caught // what jobs in Go were told of a failure
}

func (s *steps) mux() *spool.Mux {
	mux := spool.NewMux()
	mux.HandleFunc(stepJob, func(ctx context.Context, job *spool.Job) error {
		var step struct{ Name string }
		if err := job.Decode(&step); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if step.Name == s.fails {
			return errors.New("缺货 " + step.Name)
		}
		s.ran = append(s.ran, "go "+step.Name)
		if caught, ok := spool.CaughtFrom(ctx); ok {
			s.told = append(s.told, caught)
		}
		return nil
	}, spool.Alias(secretStepJob))
	return mux
}

// work has both sides work their queues in turn until nothing waits, and
// returns what ran.
func (s *steps) work(a *application) []string {
	a.t.Helper()
	conn, err := a.spool(nil).Manager.Connection(a.t.Context(), "")
	if err != nil {
		a.t.Fatal(err)
	}
	waits := func(queues ...string) (n int64) {
		for _, queue := range queues {
			size, err := conn.Size(a.t.Context(), queue)
			if err != nil {
				a.t.Fatal(err)
			}
			n += size.Total()
		}
		return n
	}
	for range 10 {
		if waits("php", "") > 0 {
			told := len(a.reports())
			a.work("--queue=php,default")
			for _, r := range a.reports()[told:] {
				s.ran = append(s.ran, "php "+r.Event+" "+string(r.Data))
			}
		}
		if waits("go") > 0 {
			a.workGo(s.mux(), func(o *worker.Options) { o.Queues = []string{"go"} })
		}
		if waits("", "php", "go") == 0 {
			return s.ran
		}
	}
	a.t.Error("jobs are left")
	return s.ran
}

func (s *steps) expect(a *application, want ...string) {
	a.t.Helper()
	if d := cmp.Diff(want, s.work(a)); d != "" {
		a.t.Errorf("what ran (-want +got)\n%s", d)
	}
}

func chainFromPHP(_ *testing.T, a *application) {
	a.push("chain", 1)
	var s steps
	s.expect(a, `php handled "one"`, "go two", `php handled "three"`, "go four", `php handled "five"`)
}

// step is a link as Go makes it.
func step(class, name string, refused bool) *laravel.Command {
	return laravel.NewCommand(class, laravel.Protected("name", name), laravel.Protected("refused", refused))
}

func chainFromGo(t *testing.T, a *application) {
	client := a.spool(nil).Client
	_, err := client.Chain(
		step(stepJob, "one", false).OnQueue("go"),
		step(stepJob, "two", false),
		spool.With(step(stepJob, "three", false), spool.OnQueue("go")),
		step(stepJob, "四", false),
	).OnQueue("php").Dispatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var s steps
	s.expect(a, "go one", `php handled "two"`, "go three", `php handled "四"`)
}

func secretChain(t *testing.T, a *application) {
	a.push("secret chain", 1)
	conn, err := a.spool(nil).Manager.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	s := steps{fails: "three"}
	for _, queue := range []string{"go", "php"} {
		entries, _, err := conn.List(t.Context(), queue, "pending", "", 10)
		if err != nil || queue == "go" && len(entries) != 1 {
			t.Fatalf("%d jobs, %v", len(entries), err)
		}
		for _, e := range entries {
			if strings.Contains(string(e.Body), "O:") {
				t.Errorf("not encrypted: %s", e.Body)
			}
		}
		if queue == "go" { // the second link is Go's to encrypt
			a.workGo(s.mux(), func(o *worker.Options) { o.Queues = []string{"go"} })
		}
	}
	s.expect(a, "go one", `php handled "two"`, `php caught ["RuntimeException","缺货 three"]`)
}

func chainCaughtByPHP(t *testing.T, a *application) {
	a.push("chain with catch", 1)
	s := steps{fails: "two"}
	s.expect(a, `php handled "one"`, `php caught "失败: 缺货 two"`, `php caught ["RuntimeException","缺货 two"]`)

	// The failed job still has the rest of the chain: PHP retries it.
	a.artisan("queue:retry", "all")
	s.fails, s.ran = "four", nil
	s.expect(a, "go two", `php handled "three"`, `php caught "失败: 缺货 four"`, `php caught ["RuntimeException","缺货 four"]`)

	// And so does Go.
	set := a.spool(nil)
	store, err := set.Failed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := retry.All(t.Context(), set.Manager, store, failed.Filter{}, nil); err != nil {
		t.Fatal(err)
	}
	s.fails, s.ran = "", nil
	s.expect(a, "go four")
}

func chainCaughtByGo(t *testing.T, a *application) {
	client := a.spool(nil).Client
	chain := func() *spool.Chain {
		return client.Chain(
			step(stepJob, "one", false).OnQueue("go"),
			step(stepJob, "two", true), // refused by PHP only
			step(stepJob, "three", false).OnQueue("go"),
		).OnQueue("php").Catch(step(stepJob, "alarm", false), step(stepJob, "alarm in Go", false).OnQueue("go"))
	}
	if _, err := chain().Dispatch(t.Context()); err != nil {
		t.Fatal(err)
	}
	var s steps
	s.expect(a, "go one", `php handled "alarm"`, "go alarm in Go")

	// The same chain, whose first link fails in Go.
	if _, err := chain().Dispatch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = steps{fails: "one"}
	got := s.work(a)
	slices.Sort(got)
	if d := cmp.Diff([]string{"go alarm in Go", `php handled "alarm"`}, got); d != "" {
		t.Errorf("what ran (-want +got)\n%s", d)
	}
	if len(s.told) != 1 || s.told[0].Name != stepJob || s.told[0].Queue != "go" || s.told[0].Error != "缺货 one" || s.told[0].UUID == "" {
		t.Errorf("the alarm was told %+v", s.told)
	}
}
