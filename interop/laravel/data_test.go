package laravel

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
)

func TestData(t *testing.T) {
	matrix(t,
		cell{name: "PHP pushes class jobs, Go runs them", show: func(t *testing.T, a *application) { goRuns(t, a, "class", classJob) }},
		cell{name: "PHP pushes string jobs, Go runs them", show: func(t *testing.T, a *application) { goRuns(t, a, "string", stringJob) }},
		cell{name: "Go pushes string jobs, PHP runs them", show: func(t *testing.T, a *application) { phpRuns(t, a, dispatch(t, a, named(stringJob, a.many()))) }},
		cell{name: "Go pushes class jobs, PHP runs them", show: func(t *testing.T, a *application) { phpRuns(t, a, dispatch(t, a, commands(a.many()))) }},
	)
}

// many is how many jobs a large run has. The two backends that most
// applications are on have the most.
func (a *application) many() int {
	switch {
	case testing.Short():
		return 50
	case a.backend.name == "phpredis", a.backend.name == "mysql":
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
	a.isEmpty("")
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
