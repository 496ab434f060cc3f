package proof

import (
	"testing"
	"time"
)

// A job of 10 s on a queue whose retry_after is 3 s, and a second worker that
// waits for nothing else: it runs once. All stores are shown at the same time.
func TestJobLongerThanItsLeaseRunsOnce(t *testing.T) {
	type shown struct {
		kind  string
		store *store
		fleet *fleet
		uuids []string
	}
	var all []shown
	for _, kind := range kinds() {
		p := newPlace(t, kind, 3*time.Second)
		all = append(all, shown{kind: kind, store: p.use(t), fleet: newFleet(t, program{Place: p, Concurrency: 5})})
	}
	for i := range all {
		all[i].fleet.startReady(2)
		all[i].uuids = all[i].store.dispatch(t, []Work{{Take: 10 * time.Second}, {Take: 10 * time.Second}})
	}
	for _, s := range all {
		t.Run(s.kind, func(t *testing.T) {
			s.store.awaitEmpty(t, 30*time.Second)
			s.fleet.stop()
			h := s.fleet.history()
			h.once(t, s.uuids)
			for _, rs := range h.runs {
				if took := time.Duration(rs[0].end - rs[0].start); took < 10*time.Second {
					t.Errorf("the job ended after %v", took)
				}
			}
		})
	}
}
