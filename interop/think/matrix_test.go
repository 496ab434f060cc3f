package think

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
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/retry"
	"github.com/spoolq/spool/worker"
)

// cell is one thing that both sides do together, on every backend.
type cell struct {
	name string
	show func(t *testing.T, p *pair)
	options
}

func cells() []cell {
	return []cell{
		{name: "PHP pushes, Go runs", show: goRuns},
		{name: "Go pushes, PHP runs", show: phpRuns},
		{name: "PHP's attempt fails, Go takes the second", show: retriedByGo},
		{name: "Go's attempt fails, PHP takes the second", show: retriedByPHP},
		{name: "released by each side", show: released},
		{name: "PHP dies in a job, Go picks it up", show: rescuedByGo},
		{name: "Go dies in a job, PHP picks it up", show: rescuedByPHP},
		{name: "failed in Go, listed and retried by PHP", show: failedInGo},
		{name: "failed in PHP, retried by Spool", show: failedInPHP},
		{name: "restart stops both sides", show: restarted},
		{name: "restart by ThinkPHP's file cache", show: restarted, options: options{files: true}},
		{name: "an object of PHP is left to PHP", show: objects},
		{name: "both sides work one queue", show: together},
		{name: "queue 0 is the default queue", show: queueZero},
		{name: "a job in Go longer than its lease", show: longJob},
	}
}

func TestMatrix(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.profile+"/"+b.store, func(t *testing.T) {
			t.Parallel()
			redis := newRedisStore(t)
			for i, c := range cells() {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.show(t, newPair(t, b, redis, i, c.options))
				})
			}
		})
	}
}

// Mail is a job of both sides.
type Mail struct {
	To    string           `json:"to"`
	N     int64            `json:"n"`
	Price float64          `json:"price,omitempty"`
	Tags  []string         `json:"tags,omitempty"`
	More  map[string]Lines `json:"more,omitempty"`
	// What the peer does with it.
	FailTimes int `json:"fail_times,omitempty"`
	Release   int `json:"release,omitempty"`
}

// Lines is nested data.
type Lines struct {
	Text string `json:"text"`
}

func sample(n int64) Mail {
	return Mail{To: "张三 <a@b.c>/👍", N: n + 9007199254740993, Price: 1.5, Tags: []string{"a", "中"}, More: map[string]Lines{"x": {"line\n2"}}}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// seen collects what handlers in Go were given.
type seen struct {
	mu    sync.Mutex
	mails []Mail
	jobs  []string // name, attempt
}

func (s *seen) handle(name string, end func(*spool.Job) error) spool.HandlerFunc {
	return func(_ context.Context, job *spool.Job) error {
		var m Mail
		if err := job.Decode(&m); err != nil {
			return err
		}
		s.mu.Lock()
		s.mails = append(s.mails, m)
		s.jobs = append(s.jobs, fmt.Sprintf("%s %d", name, job.Attempt))
		s.mu.Unlock()
		if end == nil {
			return nil
		}
		return end(job)
	}
}

// names are the forms in which the profile's PHP names one job, and another.
func (b backend) names() (mail, digest []string) {
	mail, digest = []string{"Mail", `app\job\Mail`, "Mail@fire"}, []string{"Mail@digest", `app\job\Mail@digest`}
	if b.profile == "tq3" {
		mail = append(mail, "mail")
	}
	return mail, digest
}

func goRuns(t *testing.T, p *pair) {
	mail, digest := p.b.names()
	var want []string
	n := int64(0)
	push := func(name, job string, delay ...string) {
		n++
		p.peer(append([]string{"push", name, text(t, sample(n)), "default"}, delay...)...)
		want = append(want, job+" 1")
	}
	for _, name := range mail {
		push(name, "mail")
	}
	for _, name := range digest {
		push(name, "digest")
	}
	if p.b.profile != "tq3" {
		push("Index/Mail", "module")
	}
	push("Mail", "mail", "1")
	var s seen
	mux := spool.NewMux()
	mux.HandleFunc("Mail", s.handle("mail", nil))
	mux.HandleFunc(`app\job\Mail@digest`, s.handle("digest", nil))
	mux.HandleFunc(`app\index\job\Mail`, s.handle("module", nil))
	eventually(t, "all jobs", func() bool {
		p.workGo(mux, nil)
		return len(s.jobs) >= len(want)
	})
	slices.Sort(want)
	slices.Sort(s.jobs)
	if diff := cmp.Diff(want, s.jobs); diff != "" {
		t.Errorf("jobs (-pushed +run):\n%s", diff)
	}
	slices.SortFunc(s.mails, func(a, b Mail) int { return int(a.N - b.N) })
	for i, m := range s.mails {
		if diff := cmp.Diff(sample(int64(i+1)), m); diff != "" {
			t.Errorf("job %d (-pushed +seen):\n%s", i+1, diff)
		}
	}
	if left := p.size(); left != 0 {
		t.Errorf("%d jobs are left", left)
	}
}

func phpRuns(t *testing.T, p *pair) {
	client := p.side().Client
	mail, digest := p.b.names()
	names := slices.Concat(mail, digest)
	for i, name := range names {
		if _, err := spool.Push(t.Context(), client, name, sample(int64(i)), spool.Tries(2), spool.Timeout(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	pushed := time.Now()
	if _, err := spool.Push(t.Context(), client, "Mail", sample(99), spool.Delay(time.Second)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the delayed job", func() bool {
		p.peer("work", "--stop-when-empty")
		n := len(p.reports())
		if n != len(names) && time.Since(pushed) < time.Second {
			t.Errorf("%d jobs ran before the delayed one was due, want %d", n, len(names))
		}
		return n > len(names)
	})
	for i, r := range p.reports() {
		want := sample(int64(i))
		job := "Mail"
		switch {
		case i == len(names):
			want = sample(99)
		case i >= len(mail):
			job = "Mail@digest"
		}
		var got Mail
		if err := json.Unmarshal(r.Data, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" || r.Event != "fire" || r.Job != job || r.Attempts != 1 {
			t.Errorf("job %d is %+v (-pushed +seen):\n%s", i, r, diff)
		}
	}
	if left := p.size(); left != 0 {
		t.Errorf("%d jobs are left", left)
	}
}

// attempts are those that the peer's jobs saw.
func (p *pair) attempts() []int {
	var all []int
	for _, r := range p.reports() {
		all = append(all, r.Attempts)
	}
	return all
}

func retriedByGo(t *testing.T, p *pair) {
	p.peer("push", "Mail", `{"n":1,"fail_times":1}`, "default")
	p.peer("work", "--once")
	var s seen
	mux := spool.NewMux()
	mux.HandleFunc("Mail", s.handle("mail", nil))
	eventually(t, "the second attempt", func() bool {
		p.workGo(mux, nil)
		return len(s.jobs) > 0
	})
	if !slices.Equal(p.attempts(), []int{1}) || !slices.Equal(s.jobs, []string{"mail 2"}) {
		t.Errorf("PHP saw attempts %v, Go %v", p.attempts(), s.jobs)
	}
}

func retriedByPHP(t *testing.T, p *pair) {
	if _, err := spool.Push(t.Context(), p.side().Client, "Mail", Mail{N: 1}); err != nil {
		t.Fatal(err)
	}
	var s seen
	mux := spool.NewMux()
	mux.HandleFunc("Mail", s.handle("mail", func(*spool.Job) error { return errors.New("缺货") }))
	p.workGo(mux, func(o *worker.Options) { o.MaxJobs, o.Concurrency, o.Policy.Tries = 1, 1, new(5) })
	eventually(t, "the second attempt", func() bool {
		p.peer("work", "--stop-when-empty")
		return len(p.reports()) > 0
	})
	if !slices.Equal(s.jobs, []string{"mail 1"}) || !slices.Equal(p.attempts(), []int{2}) {
		t.Errorf("Go saw attempts %v, PHP %v", s.jobs, p.attempts())
	}
}

func released(t *testing.T, p *pair) {
	p.peer("push", "Mail", `{"n":1,"release":2}`, "default")
	before := time.Now()
	p.peer("work", "--stop-when-empty") // releases it for two seconds
	var s seen
	mux := spool.NewMux()
	mux.HandleFunc("Mail", s.handle("mail", func(*spool.Job) error { return spool.Release(time.Second) }))
	eventually(t, "the second attempt", func() bool {
		p.workGo(mux, func(o *worker.Options) { o.MaxJobs, o.Concurrency = 1, 1 })
		return len(s.jobs) > 0
	})
	if took := time.Since(before); took < time.Second { // PHP counts whole ones
		t.Errorf("a job that PHP has released for 2 s came after %v", took)
	}
	eventually(t, "the third attempt", func() bool {
		p.peer("work", "--stop-when-empty")
		return len(p.reports()) > 1
	})
	if !slices.Equal(s.jobs, []string{"mail 2"}) || !slices.Equal(p.attempts(), []int{1, 3}) {
		t.Errorf("Go saw attempts %v, PHP %v", s.jobs, p.attempts())
	}
	if left := p.size(); left != 0 {
		t.Errorf("%d jobs are left", left)
	}
}

func rescuedByGo(t *testing.T, p *pair) {
	p.peer("push", "Mail", `{"n":1,"sleep":60}`, "default")
	before := time.Now() // its lease begins later, and ends on a whole second
	php := p.start()
	eventually(t, "PHP's attempt", func() bool { return len(p.reports()) == 1 })
	if err := php.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var s seen
	mux := spool.NewMux()
	mux.HandleFunc("Mail", s.handle("mail", nil))
	eventually(t, "the job of the dead worker", func() bool {
		p.workGo(mux, nil)
		return len(s.jobs) > 0
	})
	if took := time.Since(before); took < (lease-1)*time.Second {
		t.Errorf("it came after %v, before its lease had ended", took)
	}
	if !slices.Equal(s.jobs, []string{"mail 2"}) {
		t.Errorf("Go saw %v", s.jobs)
	}
}

func rescuedByPHP(t *testing.T, p *pair) {
	set := p.side()
	if _, err := spool.Push(t.Context(), set.Client, "Mail", Mail{N: 1}); err != nil {
		t.Fatal(err)
	}
	conn, err := set.Manager.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	rs, err := conn.Driver().Reserve(t.Context(), conn.Queue, 1) // and nobody renews it
	if err != nil || len(rs) != 1 || rs[0].Attempts != 1 {
		t.Fatalf("%+v, %v", rs, err)
	}
	eventually(t, "the job of the dead worker", func() bool {
		p.peer("work", "--stop-when-empty")
		return len(p.reports()) > 0
	})
	if took := time.Since(before); took < (lease-1)*time.Second {
		t.Errorf("PHP took it after %v, before its lease had ended", took)
	}
	if !slices.Equal(p.attempts(), []int{2}) {
		t.Errorf("PHP saw attempts %v", p.attempts())
	}
	if err := conn.Driver().Delete(t.Context(), rs); !errors.Is(err, driver.ErrLost) {
		t.Errorf("the late holder's delete: %v", err)
	}
}

func failedInGo(t *testing.T, p *pair) {
	if !p.tq3 {
		absent(t, "failed_jobs", "think-queue 1 and 2 record no failed jobs")
		return
	}
	if _, err := spool.Push(t.Context(), p.side().Client, "Mail", sample(1)); err != nil {
		t.Fatal(err)
	}
	var s seen
	mux := spool.NewMux()
	mux.HandleFunc("Mail", s.handle("mail", func(*spool.Job) error { return errors.New("缺货") }))
	if res := p.workGo(mux, func(o *worker.Options) { o.Policy.Tries = new(1) }); res.Failed != 1 {
		t.Fatalf("the worker ended with %+v", res)
	}
	var row struct {
		ID                           any
		Connection, Queue, Exception string
		FailTime                     string `json:"fail_time"`
	}
	if err := json.Unmarshal([]byte(p.peer("failed")), &row); err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04:05", row.FailTime, zone)
	if err != nil || time.Since(at) > time.Minute || row.Connection != p.connection() || row.Queue != "default" || !strings.Contains(row.Exception, "缺货") {
		t.Errorf("PHP lists %+v, %v", row, err)
	}
	p.peer("retry", fmt.Sprint(row.ID))
	p.peer("work", "--stop-when-empty")
	if !slices.Equal(p.attempts(), []int{1}) {
		t.Errorf("PHP saw attempts %v of the retried job", p.attempts())
	}
	if list := p.peer("failed"); list != "" {
		t.Errorf("still listed: %s", list)
	}
}

func failedInPHP(t *testing.T, p *pair) {
	if !p.tq3 {
		absent(t, "failed_jobs", "think-queue 1 and 2 record no failed jobs")
		return
	}
	p.peer("push", "Mail", `{"n":1,"fail_times":9}`, "default")
	p.peer("work", "--once", "--tries=1")
	set := p.side()
	store, err := set.Failed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	page, _, err := store.List(t.Context(), failed.Filter{}, "", 10)
	if err != nil || len(page) != 1 || page[0].Connection != p.connection() || page[0].Queue != "default" ||
		!strings.HasPrefix(page[0].Exception, "RuntimeException: attempt 1 of Mail") || time.Since(page[0].FailedAt) > time.Minute {
		t.Fatalf("%+v, %v", page, err)
	}
	if err := retry.All(t.Context(), set.Manager, store, failed.Filter{}, nil); err != nil {
		t.Fatal(err)
	}
	if n, err := store.Count(t.Context(), failed.Filter{}); err != nil || n != 0 {
		t.Errorf("%d jobs are still on record: %v", n, err)
	}
	var s seen
	mux := spool.NewMux()
	mux.HandleFunc("Mail", s.handle("mail", nil))
	p.workGo(mux, nil)
	if !slices.Equal(s.jobs, []string{"mail 1"}) {
		t.Errorf("Go saw %v", s.jobs)
	}
}
