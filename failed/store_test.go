package failed_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/schema"
)

// anyRow compares records without the number of their row.
var anyRow = cmpopts.IgnoreFields(failed.Record{}, "Row")

// failedTable creates failed_jobs as one version of Laravel makes it.
func failedTable(t *testing.T, db *sqldb.DB, version int) {
	t.Helper()
	statements, err := schema.Statements(db.Dialect(), schema.Names{FailedJobs: "failed_jobs"}, version)
	if err != nil {
		t.Fatal(err)
	}
	run(t, db, statements...)
}

// stores are those that keep uuids, each opening an empty one.
func stores() map[string]func(t *testing.T) failed.Store {
	all := map[string]func(t *testing.T) failed.Store{
		"file": func(t *testing.T) failed.Store {
			return failed.NewFile(filepath.Join(t.TempDir(), "framework", "failed-jobs.json"), &failed.FileOptions{Limit: 5000})
		},
	}
	for name, open := range databases {
		all[name] = func(t *testing.T) failed.Store {
			db := open(t)
			failedTable(t, db.DB, schema.Newest)
			return failed.NewSQL(db.DB, nil)
		}
	}
	return all
}

func TestStore(t *testing.T) {
	for name, open := range stores() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, c := range []struct {
				name string
				run  func(t *testing.T, s failed.Store)
			}{
				{"what is logged is found", findsLogged},
				{"a uuid is logged once", logsOnce},
				{"forget same spares a job that failed anew", forgetsSame},
				{"a record without a uuid gets one", makesUUID},
				{"payloads come back byte for byte", keepsPayloads},
				{"an unknown id is ErrNotFound", notFound},
				{"pages run from the newest to the oldest", pages},
				{"large records make small pages", largePages},
				{"forgetting a page doesn't skip the next", forgetsPages},
				{"a filter chooses", filters},
				{"forget counts what was there", forgets},
				{"flush takes the old ones", flushes},
				{"flush takes all", flushesAll},
			} {
				t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
			}
		})
	}
}

// at is a time of failure, n minutes after a fixed one.
func at(n int) time.Time { return time.Date(2026, 11, 20, 12, n, 46, 0, time.UTC) }

func record(n int) failed.Record {
	uuid := fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
	return failed.Record{
		ID: uuid, UUID: uuid, Connection: "redis", Queue: []string{"default", "emails"}[n%2],
		Payload: fmt.Appendf(nil, `{"uuid":"%s","data":"中文 🚀 \/"}`, uuid), Exception: "main.Boom: no luck in /app/main.go:12\nStack trace:\n#0 {main}",
		FailedAt: at(n),
	}
}

func mustLog(t *testing.T, s failed.Store, rs ...failed.Record) {
	t.Helper()
	for _, r := range rs {
		if id, err := s.Log(t.Context(), r); err != nil || id != r.UUID {
			t.Fatalf("Log = %q, %v, want the uuid %q", id, err, r.UUID)
		}
	}
}

func wantRecord(t *testing.T, s failed.Store, id string, want failed.Record) {
	t.Helper()
	got, err := s.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, anyRow); diff != "" {
		t.Fatalf("Find(%q) (-want +got):\n%s", id, diff)
	}
}

func wantCount(t *testing.T, s failed.Store, f failed.Filter, want int64) {
	t.Helper()
	if got, err := s.Count(t.Context(), f); got != want || err != nil {
		t.Fatalf("Count(%+v) = %d, %v, want %d", f, got, err, want)
	}
}

func findsLogged(t *testing.T, s failed.Store) {
	wantCount(t, s, failed.Filter{}, 0)
	mustLog(t, s, record(1), record(2))
	wantRecord(t, s, record(1).UUID, record(1))
	wantRecord(t, s, record(2).UUID, record(2))
	wantCount(t, s, failed.Filter{}, 2)
	before := time.Now().Truncate(time.Second)
	r := record(3)
	r.FailedAt = time.Time{}
	mustLog(t, s, r)
	got, err := s.Find(t.Context(), r.UUID)
	if err != nil || got.FailedAt.Before(before) || got.FailedAt.After(time.Now()) {
		t.Errorf("a record logged now failed at %v, %v", got.FailedAt, err)
	}
}

func logsOnce(t *testing.T, s failed.Store) {
	mustLog(t, s, record(1), record(2), record(1))
	again := record(1)
	again.Connection, again.Queue, again.Payload, again.Exception, again.FailedAt = "database", "slow", []byte(`{"attempts":2}`), "another", at(9)
	mustLog(t, s, again)
	wantRecord(t, s, again.UUID, again)
	wantRecord(t, s, record(2).UUID, record(2))
	wantCount(t, s, failed.Filter{}, 2)
}

func makesUUID(t *testing.T, s failed.Store) {
	seen := map[string]bool{}
	for range 10 {
		id, err := s.Log(t.Context(), failed.Record{Connection: "redis", Queue: "default", Payload: []byte("not json"), Exception: "poison"})
		if err != nil || len(id) != 36 || id[14] != '4' || seen[id] {
			t.Fatalf("Log = %q, %v, want a new uuid of version 4", id, err)
		}
		seen[id] = true
		if got, err := s.Find(t.Context(), id); err != nil || string(got.Payload) != "not json" {
			t.Fatalf("got %q, %v", got.Payload, err)
		}
	}
}

func keepsPayloads(t *testing.T, s failed.Store) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for i, body := range [][]byte{
		all, {0}, {0xff, 0xfe}, []byte("text\x00text"), []byte("base64:"), []byte("base64:AAAA"), []byte("base64:not base64!"),
		[]byte(`{"a":"\/ \u4e2d"}`), []byte("{}"), []byte(" \n"), []byte("🚀"), make([]byte, 1<<20), []byte("\xed\xa0\x80"),
	} {
		r := record(i)
		r.Payload = body
		mustLog(t, s, r)
		wantRecord(t, s, r.UUID, r)
	}
	r := record(99)
	r.Exception = "NUL \x00 and \xff are not text"
	mustLog(t, s, r)
	r.Exception = "NUL \uFFFD and \uFFFD are not text"
	wantRecord(t, s, r.UUID, r)
}

func notFound(t *testing.T, s failed.Store) {
	mustLog(t, s, record(1))
	for _, id := range []string{"", "nothing", "99999", "-1", record(2).UUID, "99999999999999999999", "' OR 1=1"} {
		if _, err := s.Find(t.Context(), id); !errors.Is(err, failed.ErrNotFound) {
			t.Errorf("Find(%q): got %v, want ErrNotFound", id, err)
		}
		if n, err := s.Forget(t.Context(), id); n != 0 || err != nil {
			t.Errorf("Forget(%q) = %d, %v", id, n, err)
		}
	}
	wantCount(t, s, failed.Filter{}, 1)
}

// walk reads all pages and returns the uuids.
func walk(t *testing.T, s failed.Store, f failed.Filter, max int, each func(page []failed.Record)) (uuids []string, n int) {
	t.Helper()
	for cursor := ""; ; {
		page, next, err := s.List(t.Context(), f, cursor, max)
		if err != nil {
			t.Fatal(err)
		}
		n++
		for _, r := range page {
			uuids = append(uuids, r.UUID)
		}
		if each != nil {
			each(page)
		}
		if next == "" {
			return uuids, n
		}
		cursor = next
	}
}

func uuids(ns ...int) (ids []string) {
	for _, n := range ns {
		ids = append(ids, record(n).UUID)
	}
	return ids
}

func pages(t *testing.T, s failed.Store) {
	if got, n := walk(t, s, failed.Filter{}, 2, nil); len(got) != 0 || n != 1 {
		t.Errorf("an empty store has %d pages with %v", n, got)
	}
	for n := range 6 {
		mustLog(t, s, record(n))
	}
	got, n := walk(t, s, failed.Filter{}, 2, func(page []failed.Record) {
		if page[0].UUID == record(5).UUID {
			mustLog(t, s, record(7)) // what comes meanwhile is not seen
		}
	})
	if diff := cmp.Diff(uuids(5, 4, 3, 2, 1, 0), got); diff != "" || n != 3 {
		t.Errorf("%d pages, want 3 (-want +got):\n%s", n, diff)
	}
	page, next, err := s.List(t.Context(), failed.Filter{}, "", 0)
	if err != nil || len(page) != 7 || next != "" {
		t.Errorf("a page of the default size: %d records, next %q, %v", len(page), next, err)
	}
	if diff := cmp.Diff(record(5), page[1], anyRow); diff != "" {
		t.Errorf("a listed record (-want +got):\n%s", diff)
	}
	page, _, err = s.List(t.Context(), failed.Filter{WithoutPayload: true, WithoutException: true}, "", 1)
	want := record(7)
	want.Payload, want.Exception = nil, ""
	if diff := cmp.Diff([]failed.Record{want}, page, anyRow); diff != "" || err != nil {
		t.Errorf("without payload and exception: %v (-want +got):\n%s", err, diff)
	}
	if _, _, err := s.List(t.Context(), failed.Filter{}, "bad", 1); err == nil {
		t.Error("a foreign cursor was taken")
	}
}

func largePages(t *testing.T, s failed.Store) {
	for n := range 6 {
		r := record(n)
		switch n {
		case 1:
			r.Payload = bytes.Repeat([]byte("x"), 6<<20) // more than a page, alone
		case 3, 4, 5:
			r.Payload = bytes.Repeat([]byte("x"), 3<<19)
		}
		mustLog(t, s, r)
	}
	var sizes []int
	got, _ := walk(t, s, failed.Filter{}, 6, func(page []failed.Record) {
		sizes = append(sizes, len(page))
	})
	if diff := cmp.Diff(uuids(5, 4, 3, 2, 1, 0), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	want := []int{2, 2, 1, 1}
	if _, isFile := s.(*failed.File); isFile {
		want = []int{6} // it is read as a whole
	}
	if diff := cmp.Diff(want, sizes); diff != "" {
		t.Errorf("records of the pages (-want +got):\n%s", diff)
	}
	if _, n := walk(t, s, failed.Filter{WithoutPayload: true}, 6, nil); n != 1 {
		t.Errorf("%d pages without payloads", n)
	}
}

func forgetsPages(t *testing.T, s failed.Store) {
	for n := range 7 {
		mustLog(t, s, record(n))
	}
	got, _ := walk(t, s, failed.Filter{}, 3, func(page []failed.Record) {
		for _, r := range page {
			if n, err := s.Forget(t.Context(), r.ID); n != 1 || err != nil {
				t.Fatalf("Forget = %d, %v", n, err)
			}
		}
	})
	if diff := cmp.Diff(uuids(6, 5, 4, 3, 2, 1, 0), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	wantCount(t, s, failed.Filter{}, 0)
}

func filters(t *testing.T, s failed.Store) {
	for n := range 6 {
		r := record(n) // emails: 1, 3, 5
		if n > 3 {
			r.Connection = "database"
		}
		mustLog(t, s, r)
	}
	for _, c := range []struct {
		f    failed.Filter
		want []string
	}{
		{failed.Filter{Queue: "emails"}, uuids(5, 3, 1)},
		{failed.Filter{Connection: "redis"}, uuids(3, 2, 1, 0)},
		{failed.Filter{Connection: "redis", Queue: "emails"}, uuids(3, 1)},
		{failed.Filter{Queue: "none"}, nil},
		{failed.Filter{Since: at(4)}, uuids(5, 4)},
		{failed.Filter{Until: at(1)}, uuids(1, 0)},
		{failed.Filter{Since: at(2), Until: at(3), Queue: "emails"}, uuids(3)},
	} {
		got, _ := walk(t, s, c.f, 2, nil)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.f, diff)
		}
		wantCount(t, s, c.f, int64(len(c.want)))
	}
}

func forgets(t *testing.T, s failed.Store) {
	var all []string
	for n := range 5 {
		mustLog(t, s, record(n))
		all = append(all, record(n).UUID)
	}
	if n, err := s.Forget(t.Context()); n != 0 || err != nil {
		t.Errorf("Forget of nothing = %d, %v", n, err)
	}
	if n, err := s.Forget(t.Context(), all[1], "unknown", all[3]); n != 2 || err != nil {
		t.Errorf("Forget = %d, %v, want 2", n, err)
	}
	got, _ := walk(t, s, failed.Filter{}, 10, nil)
	if diff := cmp.Diff(uuids(4, 2, 0), got); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	for n := range 2500 {
		all = append(all, fmt.Sprint("unknown", n))
	}
	if n, err := s.Forget(t.Context(), all...); n != 3 || err != nil {
		t.Errorf("Forget of many = %d, %v, want 3", n, err)
	}
}

func flushes(t *testing.T, s failed.Store) {
	for n := range 5 {
		mustLog(t, s, record(n))
	}
	if n, err := s.Flush(t.Context(), at(2)); n != 3 || err != nil {
		t.Errorf("Flush = %d, %v, want 3", n, err)
	}
	got, _ := walk(t, s, failed.Filter{}, 10, nil)
	if diff := cmp.Diff(uuids(4, 3), got); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func flushesAll(t *testing.T, s failed.Store) {
	if n, err := s.Flush(t.Context(), time.Time{}); n != 0 || err != nil {
		t.Errorf("Flush of nothing = %d, %v", n, err)
	}
	for n := range 5 {
		mustLog(t, s, record(n))
	}
	if n, err := s.Flush(t.Context(), time.Time{}); n != 5 || err != nil {
		t.Errorf("Flush = %d, %v, want 5", n, err)
	}
	wantCount(t, s, failed.Filter{}, 0)
}

// forgetsSame is what a retry relies on: the job it has put back may run and
// fail again, in the same second, before its old record is removed.
func forgetsSame(t *testing.T, s failed.Store) {
	same := s.(failed.SameForgetter)
	log := func() failed.Record {
		t.Helper()
		if _, err := s.Log(t.Context(), failed.Record{UUID: "u", Queue: "q", Payload: []byte("{}"), Exception: "e"}); err != nil {
			t.Fatal(err)
		}
		r, err := s.Find(t.Context(), "u")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := log()
	second := log()
	if n, err := same.ForgetSame(t.Context(), first); n != 0 || err != nil {
		t.Errorf("the old record: %d removed, %v; want none", n, err)
	}
	if _, err := s.Find(t.Context(), "u"); err != nil {
		t.Errorf("the new record: %v", err)
	}
	if n, err := same.ForgetSame(t.Context(), second); n != 1 || err != nil {
		t.Errorf("the new record: %d removed, %v; want one", n, err)
	}
}

func TestNullKeepsNothing(t *testing.T) {
	var s failed.Store = failed.Null{}
	if id, err := s.Log(t.Context(), record(1)); id != "" || err != nil {
		t.Errorf("Log = %q, %v", id, err)
	}
	if _, err := s.Find(t.Context(), record(1).UUID); !errors.Is(err, failed.ErrNotFound) {
		t.Errorf("Find: %v", err)
	}
	wantCount(t, s, failed.Filter{}, 0)
	if got, _ := walk(t, s, failed.Filter{}, 1, nil); len(got) != 0 {
		t.Errorf("List: %v", got)
	}
}
