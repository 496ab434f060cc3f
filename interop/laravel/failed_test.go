package laravel

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/retry"
)

func TestFailed(t *testing.T) {
	matrix(t,
		cell{name: "failed in Go, listed and retried by PHP, run by Go", show: failedInGo},
		cell{name: "failed in PHP, listed and retried by Spool, run by Go", show: failedInPHP},
	)
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
