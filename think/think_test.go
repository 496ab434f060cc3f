package think_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/think"
)

func TestResolveName(t *testing.T) {
	for _, c := range []struct{ version, name, want string }{
		{"1.1.2", "Job1", `app\job\Job1`},
		{"1.1.2", "Job1@fire", `app\job\Job1`},
		{"1.1.2", "Job1@task2", `app\job\Job1@task2`},
		{"2.0.4", "Index/Job1", `app\index\job\Job1`},
		{"2.0.4", "index/sub/Job1", `app\index\job\sub/Job1`},
		{"2.0.4", "foo_bar", `app\job\foo_bar`},
		{"2.0.4", `app\lib\job\Job2@task2`, `app\lib\job\Job2@task2`},
		{"2.0.4", `\app\lib\Job2`, `app\lib\Job2`},
		{"3.0.4", "foo_bar", `app\job\foo_bar`},
		{"3.0.4", "index/Job1", `app\index\job\Job1`},
		{"3.0.6", "index/Job1@run", `app\index\job\Job1@run`},
		{"3.0.7", "foo_bar", `app\job\FooBar`},
		{"3.0.9", "send-mail now@run_it", `app\job\SendMailNow@run_it`},
		{"3.0.9", "SendMail", `app\job\SendMail`},
		{"3.0.9", `app\job\foo_bar`, `app\job\foo_bar`},
	} {
		p, err := think.ProfileOf(c.version)
		if err != nil {
			t.Fatal(err)
		}
		f, err := think.New(&think.Options{Profile: p, Version: c.version})
		if err != nil {
			t.Fatal(err)
		}
		if got := f.ResolveName(c.name); got != c.want {
			t.Errorf("%s in %s is %s, want %s", c.name, c.version, got, c.want)
		}
	}
	f, err := think.New(&think.Options{Profile: think.TQ1, Namespace: `shop\`})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.ResolveName("admin/Mail"); got != `shop\admin\job\Mail` {
		t.Errorf("in another namespace the name is %s", got)
	}
}

func TestVersions(t *testing.T) {
	for v, want := range map[string]think.Profile{
		"1.1.0": think.TQ1, "v1.1.6": think.TQ1, "2.0": think.TQ1, "2.0.4": think.TQ1,
		"3.0.2": think.TQ3Legacy, "3.0.4": think.TQ3Legacy, "3.0.5": think.TQ3, "3.0": think.TQ3, "3.1.0": think.TQ3,
	} {
		if got, err := think.ProfileOf(v); got != want || err != nil {
			t.Errorf("%s is %q, %v; want %s", v, got, err, want)
		}
	}
	for _, v := range []string{"1.0.3", "3.0.0", "3.0.1", "2", "x.y", "3.0.9.1", "-1.0", ""} {
		if got, err := think.ProfileOf(v); err == nil {
			t.Errorf("%q is taken for %s", v, got)
		}
	}
	for _, o := range []think.Options{{}, {Profile: "tq2"}, {Profile: think.TQ3, Version: "2.0.4"}, {Profile: think.TQ1, Version: "3.0.0"}, {Profile: think.TQ1, Version: "one"}} {
		_, err := think.New(&o)
		if err == nil || !strings.Contains(err.Error(), "think") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// What a profile has no key for goes behind, and comes back.
func TestFurtherKeys(t *testing.T) {
	full := spool.Policy{
		Tries: new(3), Timeout: new(90 * time.Second), RetryUntil: time.Unix(1893456000, 0),
		MaxExceptions: 2, Backoff: []time.Duration{time.Second, 5 * time.Second}, FailOnTimeout: true,
	}
	for profile, want := range map[think.Profile]string{
		think.TQ1:       `{"job":"J","data":{"a":1},"id":"x","attempts":1,"maxTries":3,"timeout":90,"timeoutAt":1893456000,"maxExceptions":2,"failOnTimeout":true,"backoff":"1,5","displayName":"Jay","trace":"\u00e9"}`,
		think.TQ3Legacy: `{"job":"J","maxTries":3,"timeout":90,"timeoutAt":1893456000,"data":{"a":1},"id":"x","attempts":0,"maxExceptions":2,"failOnTimeout":true,"backoff":"1,5","displayName":"Jay","trace":"\u00e9"}`,
		think.TQ3:       `{"job":"J","maxTries":3,"timeout":90,"timeoutAt":1893456000,"data":{"a":1},"id":"x","attempts":0,"maxExceptions":2,"failOnTimeout":true,"backoff":"1,5","displayName":"Jay","trace":"\u00e9"}`,
	} {
		f, err := think.New(&think.Options{Profile: profile})
		if err != nil {
			t.Fatal(err)
		}
		d := &spool.Draft{UUID: "u", ID: "x", Name: "J", DisplayName: "Jay", Data: map[string]int{"a": 1}, Policy: full, CountsInBody: true,
			Extra: map[string]any{"trace": "é", "id": "not this", "attempts": 9}}
		got, err := f.Encode(d)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", profile, diff)
		}
		if d.UUID != "x" {
			t.Errorf("%s: the job's identity is %q, want its id", profile, d.UUID)
		}
		p, err := f.Decode(got)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(full, p.Policy); diff != "" {
			t.Errorf("%s: policy (-encoded +decoded):\n%s", profile, diff)
		}
		if p.UUID != "x" || p.Name != "J" || p.DisplayName != "Jay" {
			t.Errorf("%s: decoded as %+v", profile, p)
		}
	}
}

func TestRetry(t *testing.T) {
	now := time.Unix(2_000_000_000, 0)
	for _, c := range []struct {
		profile    think.Profile
		body, want string
	}{
		{think.TQ1, `{"job":"J","data":{"attempts":9},"id":"x","attempts":4}`, `{"job":"J","data":{"attempts":9},"id":"x","attempts":1}`},
		{think.TQ3, `{"job":"J","maxTries":null,"timeout":null,"data":{},"id":"x","attempts":12}`, `{"job":"J","maxTries":null,"timeout":null,"data":{},"id":"x","attempts":0}`},
		{think.TQ3, `{"job":"J","timeoutAt":1999999999,"data": [1.0] ,"attempts":"3"}`, `{"job":"J","timeoutAt":2000086400,"data": [1.0] ,"attempts":0}`},
		{think.TQ3, `{"job":"J","timeoutAt":2000000001,"data":null}`, `{"job":"J","timeoutAt":2000000001,"data":null}`},
		{think.TQ3, `{"job":"J","timeoutAt":null,"data":null}`, `{"job":"J","timeoutAt":null,"data":null}`},
	} {
		f, err := think.New(&think.Options{Profile: c.profile})
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Retry([]byte(c.body), now)
		if err != nil || string(got) != c.want {
			t.Errorf("%s becomes %s, %v; want %s", c.body, got, err, c.want)
		}
	}
	f, _ := think.New(&think.Options{Profile: think.TQ3})
	if _, err := f.Retry([]byte(`no job`), now); err == nil {
		t.Error("what is no job was made ready to be retried")
	}
}

// A body that is no job is told apart from one that PHP must run.
func TestDecodeWhatIsNoJob(t *testing.T) {
	f, _ := think.New(&think.Options{Profile: think.TQ3})
	for _, body := range []string{"", "0", "null", `"x"`, `[1]`, `{`, `{"data":1}`, `{"job":null,"data":1}`, "{\"job\":\"\xff\"}", `{"job":"J","attempts":[]}`} {
		if p, err := f.Decode([]byte(body)); err == nil {
			t.Errorf("%q is the job %+v", body, p)
		}
	}
	p, err := f.Decode([]byte(`{"job":"` + `think\\queue\\CallQueuedHandler@call` + `","data":"odd"}`))
	if err == nil || p == nil {
		t.Errorf("an object without its class is %+v, %v", p, err)
	}
}

// FuzzStyle holds that whatever is valid JSON is the same value in PHP's style.
func FuzzStyle(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-7,-0,"é/\u00e9\\"],"":{}}`, `"\ud83d\udc4d"`, `1e17`, `[[],{},null,true,false]`} {
		f.Add(s)
	}
	format, err := think.New(&think.Options{Profile: think.TQ3})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want any
		if json.Unmarshal([]byte(s), &want) != nil {
			return
		}
		b, err := format.Encode(&spool.Draft{Name: "J", Data: json.RawMessage(s), ID: "1", CountsInBody: true})
		if err != nil {
			return // refused, as PHP would
		}
		p, err := format.Decode(b)
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		var got any
		if err := json.Unmarshal(p.Data, &got); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s became %s:\n%s", s, p.Data, diff)
		}
		for _, c := range b {
			if c >= 0x80 {
				t.Fatalf("%s is not plain ASCII", b)
			}
		}
	})
}

// To PHP, whose "0" is false, a queue of that name is the default one.
func TestQueueZero(t *testing.T) {
	for _, profile := range think.Profiles() {
		f, err := think.New(&think.Options{Profile: profile})
		if err != nil {
			t.Fatal(err)
		}
		c := spool.Connection{ConnectionConfig: spool.ConnectionConfig{Queue: "mail", Format: f}}
		for queue, want := range map[string]string{"": "mail", "0": "mail", "00": "00", "sms": "sms"} {
			if got := c.QueueOr(queue); got != want {
				t.Errorf("%s: queue %q is %q, want %q", profile, queue, got, want)
			}
		}
	}
	c := spool.Connection{ConnectionConfig: spool.ConnectionConfig{Queue: "mail", Format: spool.Native}}
	if got := c.QueueOr("0"); got != "0" { // Laravel has a queue of that name
		t.Errorf("elsewhere queue 0 is %q", got)
	}
}

// The lock of a unique job travels in every profile's payload.
func TestClaims(t *testing.T) {
	want := &spool.Claim{Key: "laravel_unique_job:Mail:7", Owner: "u", Early: true}
	for _, profile := range []think.Profile{think.TQ1, think.TQ3Legacy, think.TQ3} {
		f, err := think.New(&think.Options{Profile: profile})
		if err != nil {
			t.Fatal(err)
		}
		m := spool.NewManager(&spool.ManagerOptions{Locks: cache.NewMemory()})
		m.Add(spool.ConnectionConfig{Name: "mem", Format: f, Open: func(context.Context) (driver.Conn, error) { return memqueue.New(nil), nil }})
		var body []byte
		spool.Listen(m.Events(), func(_ context.Context, e spool.JobQueued) { body = e.Body })
		ref, err := spool.Push(t.Context(), spool.NewClient(m, nil), "Mail", map[string]int{"id": 7}, spool.Unique("7"), spool.UniqueUntilProcessing())
		if err != nil || ref.Skipped {
			t.Fatal(ref, err)
		}
		p, err := f.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		want.Owner = p.Unique.Owner
		if d := cmp.Diff(want, p.Unique); d != "" || want.Owner == "" {
			t.Errorf("%s: %s\n%s", profile, body, d)
		}
	}
}
