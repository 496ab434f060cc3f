package laravel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/worker"
)

func TestValues(t *testing.T) {
	matrix(t,
		cell{name: "PHP pushes every kind of value, Go runs it typed", show: valuesFromPHP},
		cell{name: "Go pushes every kind of value, PHP runs it", show: valuesFromGo},
		cell{name: "Go pushes every kind of value as 13 does, PHP runs it", show: valuesFromGo, on: []string{"phpredis", "mysql"}, env: map[string]string{"SPOOL_LARAVEL": "13"}},
		cell{name: "string jobs with any data, in both directions", show: anyData},
		cell{name: "keys of Horizon and of the log context survive Go", show: furtherKeys},
	)
}

// namedQueue is a queue that is not the connection's own.
const namedQueue = "emails-high.1"

// taken is what handlers in Go were given.
type taken struct {
	mu        sync.Mutex
	specimens []specimen
	secrets   []secret
	reminders []string // queue, and whether it was due
}

func (s *taken) mux() *spool.Mux {
	mux := spool.NewMux()
	spool.Handle(mux, func(_ context.Context, job specimen) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.specimens = append(s.specimens, job)
		return nil
	})
	spool.Handle(mux, func(_ context.Context, job secret) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.secrets = append(s.secrets, job)
		return nil
	})
	spool.Handle(mux, func(ctx context.Context, job reminder) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		early := time.Now().Before(time.Unix(job.Due, 0))
		s.reminders = append(s.reminders, fmt.Sprintf("%s, early: %v", spool.JobFrom(ctx).Queue, early))
		return nil
	})
	return mux
}

// same compares floats by their bits: NaN is NaN, and -0 is not 0. A moment is
// the same with the same offset; the name of a zone isn't compared.
var same = cmp.Options{
	cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b }),
	cmp.Comparer(func(a, b time.Time) bool {
		_, x := a.Zone()
		_, y := b.Zone()
		return a.Equal(b) && x == y
	}),
}

func valuesFromPHP(t *testing.T, a *application) {
	a.push("specimen", 1, "secret", 1, "named queue", 1, "delayed", 1, "delayed to a date", 1)
	var got taken
	// Five jobs, two of which come in two seconds.
	res := a.startGo(got.mux(), func(o *worker.Options) {
		o.Queues, o.MaxJobs, o.Sleep = []string{"default", namedQueue}, 5, 100*time.Millisecond
	}).result()
	if res.Failed != 0 || res.Processed != 5 {
		t.Errorf("the worker ended with %+v", res)
	}
	want := theSpecimen()
	want.Buyer.Connection, want.Watchers.Connection = a.databaseName(), a.databaseName()
	if d := cmp.Diff([]specimen{want}, got.specimens, same); d != "" {
		t.Errorf("the specimen (-want +got)\n%s", d)
	}
	if d := cmp.Diff([]secret{{"4111 1111 中", []byte("\xff\xfe\x00\x80")}}, got.secrets); d != "" {
		t.Errorf("the secret (-want +got)\n%s", d)
	}
	slices.Sort(got.reminders)
	if d := cmp.Diff([]string{"default, early: false", "default, early: false", namedQueue + ", early: false"}, got.reminders); d != "" {
		t.Errorf("reminders (-want +got)\n%s", d)
	}
	a.isEmpty("")
	a.isEmpty(namedQueue)
}

func valuesFromGo(t *testing.T, a *application) {
	client := a.spool(nil).Client
	push := func(job *laravel.Command, opts ...spool.DispatchOption) string {
		t.Helper()
		ref, err := spool.Dispatch(t.Context(), client, job, opts...)
		if err != nil {
			t.Fatal(err)
		}
		return ref.UUID
	}
	binary := laravel.NewCommand(secret{}.JobName(), laravel.Public("card", "4111 中"), laravel.Private("bytes", []byte("\xff\xfe\x00\x80")))
	if _, err := spool.Dispatch(t.Context(), client, binary); err == nil {
		t.Error("bytes that are no text went into plain JSON")
	}
	binary.Encrypt = true
	due := time.Now().Add(2 * time.Second).Unix()
	remind := func() *laravel.Command {
		return laravel.NewCommand(reminder{}.JobName(), laravel.Public("due", due))
	}
	uuids := []string{
		push(theSpecimen().command()),
		push(binary),
		push(remind().OnQueue(namedQueue)),
		push(remind(), spool.Delay(2*time.Second)),
		push(remind().WithDelay(2 * time.Second)),
	}
	if code := a.start("queue:work", "--queue=default,"+namedQueue, "--max-jobs=5", "--sleep=0.1").exitCode(); code != 0 {
		t.Fatalf("queue:work ended with %d", code)
	}
	got := map[string]report{}
	for _, r := range a.reports() {
		got[r.UUID] = r
	}
	if len(got) != len(uuids) {
		t.Fatalf("%d jobs ran in PHP, want %d: %+v", len(got), len(uuids), got)
	}
	for i, want := range []any{specimenInPHP(), map[string]string{"card": "4111 中", "bytes": "fffe0080"}} {
		seen := map[string]string{}
		if err := json.Unmarshal(got[uuids[i]].Data, &seen); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, any(seen)); d != "" {
			t.Errorf("PHP sees (-want +got)\n%s", d)
		}
	}
	if q := got[uuids[2]].Queue; q != namedQueue {
		t.Errorf("PHP found it on %q", q)
	}
	for _, uuid := range uuids[3:] {
		if at := got[uuid].Time; at < float64(due) {
			t.Errorf("%s ran %v s early", uuid, float64(due)-at)
		}
	}
}

// anything is the name of a string job whose method is the default one.
const anything = `App\Handlers\Anything`

type anyDataJob struct{ data json.RawMessage }

func (anyDataJob) JobName() string { return anything }

func (j anyDataJob) MarshalJSON() ([]byte, error) { return j.data, nil }

// anyData has PHP push string jobs whose data is no object; Go pushes each again,
// to another queue, where PHP runs them.
func anyData(t *testing.T, a *application) {
	want := []string{`""`, `"订单\/7"`, `[1,"二",null,[]]`, `-0.1`, `false`, `{"max":9223372036854775807,"":{}}`}
	a.push("string jobs with any data", 1)
	client := a.spool(nil).Client
	var mu sync.Mutex
	var got []string
	a.workGo(handling(anything, func(ctx context.Context, job *spool.Job) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(job.Payload.Data))
		_, err := spool.Dispatch(ctx, client, anyDataJob{job.Payload.Data}, spool.OnQueue(namedQueue))
		return err
	}))
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("Go sees (-want +got)\n%s", d)
	}
	a.work("--queue=" + namedQueue)
	got = nil
	for _, r := range a.reports() {
		got = append(got, string(r.Data))
	}
	for i := range want {
		want[i] = strings.ReplaceAll(want[i], `\/`, `/`)        // the report doesn't escape
		want[i] = strings.ReplaceAll(want[i], `"":{}`, `"":[]`) // PHP reads payloads with arrays for objects
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("PHP sees (-want +got)\n%s", d)
	}
}

// furtherKeys has an attempt of Go fail: the next one is PHP's, which finds in
// the payload what it has put there.
func furtherKeys(t *testing.T, a *application) {
	a.push("with further keys", 1)
	const keys = `{"illuminate:log:context":{"data":{"trace_id":"s:8:\"跟踪-1\";"},"hidden":{"n":"i:1;"}},` +
		`"type":"job","tags":["App\\Models\\Customer:1","急"],"silenced":false,"pushedAt":"1795174105.1234"}`
	var want map[string]any
	if err := json.Unmarshal([]byte(keys), &want); err != nil {
		t.Fatal(err)
	}
	contains := func(who string, payload []byte) {
		var all map[string]any
		if err := json.Unmarshal(payload, &all); err != nil {
			t.Fatal(err)
		}
		got := map[string]any{}
		for k := range want {
			got[k] = all[k]
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s sees (-want +got)\n%s", who, d)
		}
	}
	var body string
	res := a.workGo(handling(reminder{}.JobName(), func(_ context.Context, job *spool.Job) error {
		body = string(job.Body)
		return errors.New("not now")
	}), func(o *worker.Options) { o.Queues, o.MaxJobs = []string{"extras"}, 1 })
	if res.Processed != 1 {
		t.Fatalf("the worker ended with %+v", res)
	}
	contains("Go", []byte(strings.TrimSpace(body)))
	a.work("--queue=extras")
	rs := a.reports()
	if len(rs) != 1 || rs[0].Attempt != 2 {
		t.Fatalf("PHP reports %+v", rs)
	}
	var data struct{ Extras json.RawMessage }
	if err := json.Unmarshal(rs[0].Data, &data); err != nil {
		t.Fatal(err)
	}
	contains("PHP", data.Extras)
}
