package laravel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/retry"
)

// cell is one thing that both sides do together. It is shown on every backend.
type cell struct {
	name string
	show func(t *testing.T, a *application)
}

func cells() []cell {
	return []cell{
		{"PHP pushes class jobs, Go runs them", func(t *testing.T, a *application) { goRuns(t, a, "class", classJob) }},
		{"PHP pushes string jobs, Go runs them", func(t *testing.T, a *application) { goRuns(t, a, "string", stringJob) }},
		{"Go pushes string jobs, PHP runs them", func(t *testing.T, a *application) { phpRuns(t, a, dispatch(t, a, named(stringJob, a.many()))) }},
		{"Go pushes class jobs, PHP runs them", func(t *testing.T, a *application) { phpRuns(t, a, dispatch(t, a, commands(a.many()))) }},
		{"failed in Go, listed and retried by PHP, run by Go", failedInGo},
		{"failed in PHP, listed and retried by Spool, run by Go", failedInPHP},
	}
}

func TestMatrix(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			for _, c := range cells() {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.show(t, newApplication(t, b))
				})
			}
		})
	}
}

// many is how many jobs a large run has. The two backends that most
// applications are on have the most.
func (a *application) many() int {
	switch {
	case testing.Short():
		return 50
	case a.backend == "phpredis", a.backend == "mysql":
		return 1000
	}
	return 250
}

// seen collects the orders that a handler in Go was given.
type seen struct {
	mu     sync.Mutex
	orders []order
	uuids  []string
}

// handle is a handler that notes its order and returns err.
func (s *seen) handle(err error) spool.HandlerFunc {
	return func(_ context.Context, job *spool.Job) error {
		var o order
		if err := job.Decode(&o); err != nil {
			return err
		}
		if job.Attempt != 1 {
			return fmt.Errorf("attempt %d", job.Attempt)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.orders = append(s.orders, o)
		s.uuids = append(s.uuids, job.UUID)
		return err
	}
}

// are checks that these orders came, each once.
func (s *seen) are(t *testing.T, want []order) {
	t.Helper()
	slices.SortFunc(s.orders, func(a, b order) int { return int(a.ID - b.ID) })
	if d := cmp.Diff(want, s.orders); d != "" {
		t.Errorf("%d orders, want %d; (-want +got)\n%.3000s", len(s.orders), len(want), d)
	}
}

func handling(name string, fn spool.HandlerFunc) *spool.Mux {
	mux := spool.NewMux()
	mux.HandleFunc(name, fn)
	return mux
}

func goRuns(t *testing.T, a *application, kind, name string) {
	a.push(kind, a.many())
	var s seen
	res := a.workGo(handling(name, s.handle(nil)))
	if res.Failed != 0 || res.Processed != int64(a.many()) {
		t.Errorf("the worker ended with %+v", res)
	}
	s.are(t, samples(a.many()))
}

// dispatch pushes jobs from Go and returns their uuids.
func dispatch[T any](t *testing.T, a *application, jobs []T) []string {
	t.Helper()
	refs, err := spool.DispatchAll(t.Context(), a.spool(nil).Client, jobs)
	if err != nil {
		t.Fatal(err)
	}
	uuids := make([]string, len(refs))
	for i, r := range refs {
		uuids[i] = r.UUID
	}
	return uuids
}

func phpRuns(t *testing.T, a *application, uuids []string) {
	a.work()
	got := map[string]report{}
	for _, r := range a.reports() {
		if _, twice := got[r.UUID]; twice || r.Event != "handled" || r.Attempt != 1 || r.Queue != "default" {
			t.Errorf("PHP reports %+v (a second time: %v)", r, twice)
		}
		got[r.UUID] = r
	}
	for i, uuid := range uuids {
		r, ok := got[uuid]
		if !ok {
			t.Fatalf("job %d was never run; %d of %d were", i+1, len(got), len(uuids))
		}
		if d := cmp.Diff(sample(i+1), parse(t, r.Data)); d != "" {
			t.Fatalf("job %d (-pushed +seen by PHP)\n%s", i+1, d)
		}
	}
	if len(got) != len(uuids) {
		t.Errorf("%d jobs ran, %d were pushed", len(got), len(uuids))
	}
}

const few = 3

func failedInGo(t *testing.T, a *application) {
	a.push("refused", few)
	var s seen
	if res := a.workGo(handling(refusedJob, s.handle(errors.New("缺货")))); res.Failed != few {
		t.Fatalf("the worker ended with %+v", res)
	}
	list := a.artisan("queue:failed")
	for _, uuid := range s.uuids {
		if !strings.Contains(list, uuid) {
			t.Errorf("queue:failed doesn't list %s:\n%s", uuid, list)
		}
	}
	a.artisan("queue:retry", "all")
	if list := a.artisan("queue:failed"); !strings.Contains(list, "No failed jobs") {
		t.Errorf("after queue:retry all:\n%s", list)
	}
	var again seen
	a.workGo(handling(refusedJob, again.handle(nil)))
	again.are(t, samples(few))
	slices.Sort(s.uuids)
	slices.Sort(again.uuids)
	if d := cmp.Diff(s.uuids, again.uuids); d != "" {
		t.Errorf("the jobs are not the same (-failed +retried)\n%s", d)
	}
}

func failedInPHP(t *testing.T, a *application) {
	uuids := dispatch(t, a, named(refusedJob, few))
	a.work()
	set := a.spool(nil)
	store, err := set.Failed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	page, _, err := store.List(t.Context(), failed.Filter{}, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, r := range page {
		listed = append(listed, r.UUID)
		if r.Queue != "default" || r.Connection != set.Manager.Default() || !strings.HasPrefix(r.Exception, "RuntimeException: 拒绝 ") {
			t.Errorf("recorded as %.300v", r)
		}
	}
	slices.Sort(uuids)
	slices.Sort(listed)
	if d := cmp.Diff(uuids, listed); d != "" {
		t.Fatalf("failed jobs (-pushed +listed)\n%s", d)
	}
	if err := retry.All(t.Context(), set.Manager, store, failed.Filter{}, nil); err != nil {
		t.Fatal(err)
	}
	if n, err := store.Count(t.Context(), failed.Filter{}); err != nil || n != 0 {
		t.Errorf("%d jobs are still on record: %v", n, err)
	}
	var s seen
	a.workGo(handling(refusedJob, s.handle(nil)))
	s.are(t, samples(few))
	slices.Sort(s.uuids)
	if d := cmp.Diff(uuids, s.uuids); d != "" {
		t.Errorf("the jobs are not the same (-failed +retried)\n%s", d)
	}
}
