package laravel_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/laravel/phpserial"
)

// reminder is how a Go handler sees the PHP class SendReminderEmail, whose
// properties are public, protected and private.
type reminder struct {
	UserID   int64 `json:"user_id"`
	Template string
	Token    string
	Options  struct {
		Subject     string
		CC          []string
		Flags       map[string]bool
		Weights     []float64
		Big, Min    int64
		None        *int
		EmptyList   []string `json:"empty_list"`
		EmptyString string   `json:"empty_string"`
		Keyed       map[string]any
		Quote       string
	}
	Connection, Queue string // of the trait; not the job's
}

func decodeKind(t *testing.T, f *laravel.Format, backend, kind string) *spool.Payload {
	t.Helper()
	for _, in := range pushes(t, backend) {
		if in.Kind == kind {
			p, err := f.Decode([]byte(in.Payload))
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
	}
	t.Fatalf("no payload of kind %s", kind)
	return nil
}

func TestTypedJobs(t *testing.T) {
	f := newFormat(t, &laravel.Options{Key: testKey})
	var want reminder
	want.UserID, want.Template, want.Token = 42, "emails/reminder", "s3cr3t"
	o := &want.Options
	o.Subject, o.CC = "Rëminder – наг/адай 🎧", []string{"a@example.test", "b@example.test"}
	o.Flags, o.Weights = map[string]bool{"urgent": true, "quiet": false}, []float64{0.1, 1, -2.5e-7, 1e30}
	o.Big, o.Min, o.EmptyList = 9007199254740993, math.MinInt64, []string{}
	o.Keyed = map[string]any{"5": "five", "x": map[string]any{"y": map[string]any{"z": int64(1)}}}
	o.Quote = "a\"b\\c/d\n\t<&>\u2028"
	for _, backend := range backends {
		p := decodeKind(t, f, backend, "reminder")
		if p.Name != `App\Jobs\SendReminderEmail` || p.DisplayName != p.Name || p.Job != laravel.HandlerJob {
			t.Errorf("name %q, display name %q, job %q", p.Name, p.DisplayName, p.Job)
		}
		if *p.Policy.Tries != 3 || *p.Policy.Timeout != 30*time.Second || p.Policy.Backoff != nil {
			t.Errorf("policy %+v", p.Policy)
		}
		var got reminder
		if err := p.Into(&got); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", backend, d)
		}
	}
	p := decodeKind(t, f, "mysql", "backoff")
	if d := cmp.Diff([]time.Duration{time.Second, 5 * time.Second, 10 * time.Second}, p.Policy.Backoff); d != "" {
		t.Errorf("backoff: (-want +got)\n%s", d)
	}
}

func TestTypedJobsWithObjects(t *testing.T) {
	f := newFormat(t, &laravel.Options{Key: testKey})
	var plain struct {
		Name  string
		List  []int
		Inner struct {
			A int
			B []any
		}
		When time.Time
		Self []struct{ A int }
	}
	p := decodeKind(t, f, "phpredis", "plain")
	// "self" refers to the object in "inner", twice.
	if err := p.Into(&plain); err != nil {
		t.Fatal(err)
	}
	if plain.Inner.A != 1 || len(plain.Self) != 2 || plain.Self[1].A != 1 || plain.List[2] != 3 || plain.Inner.B[0] != true {
		t.Errorf("got %+v", plain)
	}
	if !plain.When.Equal(time.Date(2024, 2, 29, 10, 34, 56, 789012000, time.UTC)) {
		t.Errorf("when is %v", plain.When)
	}
	wantData := `{"name":"plain-1","list":[1,2,3],"inner":{"a":1,"b":[true,null]},"when":"2024-02-29T12:34:56.789012+02:00","self":[{"a":1,"b":[true,null]},{"a":1,"b":[true,null]}]}`
	if string(p.Data) != wantData {
		t.Errorf("Data is %s", p.Data)
	}

	var model struct {
		Podcast, Others laravel.ModelIdentifier
	}
	if err := decodeKind(t, f, "phpredis", "model").Into(&model); err != nil {
		t.Fatal(err)
	}
	want := laravel.ModelIdentifier{Class: `App\Models\Podcast`, ID: int64(1), Relations: []string{}, Connection: "sqlite"}
	if d := cmp.Diff(want, model.Podcast); d != "" {
		t.Errorf("model: (-want +got)\n%s", d)
	}
	if want.ID = []any{int64(1)}; cmp.Diff(want, model.Others) != "" {
		t.Errorf("collection of models: %+v", model.Others)
	}

	var secret struct{ Card string }
	if err := decodeKind(t, f, "phpredis", "encrypted").Into(&secret); err != nil || secret.Card != "4111 1111 1111 1111" {
		t.Errorf("encrypted: %+v, %v", secret, err)
	}
}

func TestFrameworkJobsShowWhatTheyRun(t *testing.T) {
	f := newFormat(t, nil)
	p := decodeKind(t, f, "phpredis", "listener")
	if p.Name != `Illuminate\Events\CallQueuedListener` || p.DisplayName != `App\Listeners\NotifySubscribers` {
		t.Errorf("listener: name %q, display name %q", p.Name, p.DisplayName)
	}
	cmd, err := laravel.CommandOf(p)
	if err != nil || cmd.Wrapped() != `App\Listeners\NotifySubscribers` {
		t.Errorf("wrapped: %v, %v", cmd, err)
	}
	if p := decodeKind(t, f, "phpredis", "closure"); p.DisplayName != "Closure (Kinds.php:52)" {
		t.Errorf("closure: display name %q", p.DisplayName)
	}
	mail := `{"job":"Illuminate\\Queue\\CallQueuedHandler@call","data":{"commandName":"Illuminate\\Mail\\SendQueuedMailable","command":"O:34:\"Illuminate\\Mail\\SendQueuedMailable\":1:{s:8:\"mailable\";O:16:\"App\\Mail\\Welcome\":0:{}}"}}`
	if p, err := f.Decode([]byte(mail)); err != nil || p.DisplayName != `App\Mail\Welcome` {
		t.Errorf("mailable without displayName: %+v, %v", p, err)
	}
}

func TestCommandOfOtherJobsIsNil(t *testing.T) {
	p := decodeKind(t, newFormat(t, nil), "phpredis", "string")
	if p.Name != `App\Handlers\LegacyHandler@work` {
		t.Errorf("name %q", p.Name)
	}
	if cmd, err := laravel.CommandOf(p); cmd != nil || err != nil {
		t.Errorf("got %v, %v", cmd, err)
	}
}

// What a pop by a PHP worker makes of a payload: other key order, {} for [].
func TestAfterRedisRewroteIt(t *testing.T) {
	in := `{"uuid":"u","timeout":null,"id":"i","backoff":null,"retryUntil":null,"displayName":"App\\Jobs\\Simple","maxTries":3.0,"failOnTimeout":false,"maxExceptions":null,"tags":{},` +
		`"data":{"command":"O:15:\"App\\Jobs\\Simple\":2:{s:2:\"id\";i:7;s:7:\"\u0000*\u0000name\";s:3:\"b\/b\";}","commandName":"App\\Jobs\\Simple"},"job":"Illuminate\\Queue\\CallQueuedHandler@call","attempts":1}`
	p, err := newFormat(t, nil).Decode([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		ID   int
		Name string
	}
	if err := p.Into(&v); err != nil || v.ID != 7 || v.Name != "b/b" || *p.Policy.Tries != 3 || p.Attempts != 1 {
		t.Errorf("got %+v, %v, %+v", v, err, p)
	}
}

func TestLegacyKeys(t *testing.T) {
	job := func(keys string) string {
		return `{"job":"Illuminate\\Queue\\CallQueuedHandler@call","data":{"commandName":"A","command":"O:1:\"A\":0:{}"}` + keys + `}`
	}
	f := newFormat(t, nil)
	for _, tt := range []struct {
		keys    string
		backoff []time.Duration
		until   int64
	}{
		{`,"delay":7`, []time.Duration{7 * time.Second}, 0},
		{`,"delay":7,"createdAt":5`, nil, 0},
		{`,"delay":7,"backoff":"1,2"`, []time.Duration{time.Second, 2 * time.Second}, 0},
		{`,"timeoutAt":99`, nil, 99},
		{`,"timeoutAt":99,"retryUntil":98`, nil, 98},
	} {
		p, err := f.Decode([]byte(job(tt.keys)))
		if err != nil {
			t.Fatal(err)
		}
		until := int64(0)
		if !p.Policy.RetryUntil.IsZero() {
			until = p.Policy.RetryUntil.Unix()
		}
		if d := cmp.Diff(tt.backoff, p.Policy.Backoff); d != "" || until != tt.until {
			t.Errorf("%s: retryUntil %d, backoff (-want +got)\n%s", tt.keys, until, d)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	f := newFormat(t, nil)
	for in, want := range map[string]string{
		`x`: "payload", `[]`: "payload", `{}`: `no "job"`,
		`{"job":"Illuminate\\Queue\\CallQueuedHandler@call"}`:                                "there is none",
		`{"job":"Illuminate\\Queue\\CallQueuedHandler@call","data":"x"}`:                     "not an object",
		`{"job":"Illuminate\\Queue\\CallQueuedHandler@call","data":{"commandName":"A"}}`:     `no "command"`,
		`{"job":"Illuminate\\Queue\\CallQueuedHandler@call","data":{"command":{}}}`:          `"command" is no text`,
		`{"job":"Illuminate\\Queue\\CallQueuedHandler@call","data":{"command":"O:1:\"A\""}}`: `no "commandName"`,
	} {
		if _, err := f.Decode([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %s", in, err, want)
		}
	}
}

// A command that can't be read is a job all the same: it has a name, and its
// policy decides.
func TestCorruptCommand(t *testing.T) {
	for _, command := range []string{`O:23:\"App\\Jobs\\ProcessPodcast\"`, `gibberish`, `eyJpdiI6IiJ9`} {
		in := `{"uuid":"u","job":"Illuminate\\Queue\\CallQueuedHandler@call","maxTries":1,"data":{"commandName":"X","command":"` + command + `"}}`
		p, err := newFormat(t, nil).Decode([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		var k *laravel.KeyError
		if err := p.Into(new(any)); err == nil || errors.As(err, &k) || !strings.Contains(err.Error(), "command of X") {
			t.Errorf("%s: got error %v", command, err)
		}
		if _, err := laravel.CommandOf(p); err == nil {
			t.Errorf("%s: CommandOf gives no error", command)
		}
		if p.Name != "X" || p.Data != nil || *p.Policy.Tries != 1 {
			t.Errorf("%s: %+v", command, p)
		}
	}
}

func TestMissingOrWrongKeyIsNotTheJobsFault(t *testing.T) {
	other := "base64:" + strings.Repeat("A", 43) + "="
	for _, tt := range []struct {
		name    string
		opts    laravel.Options
		setting string
	}{
		{"no key", laravel.Options{}, "APP_KEY"},
		{"another key", laravel.Options{Key: other}, "APP_KEY"},
		{"another mode", laravel.Options{Key: testKey, Cipher: "AES-256-GCM"}, "app.cipher"},
	} {
		p := decodeKind(t, newFormat(t, &tt.opts), "phpredis", "encrypted")
		err := fmt.Errorf("wrapped: %w", p.Into(new(any)))
		var k *laravel.KeyError
		if !errors.As(err, &k) || k.Setting != tt.setting || k.Class != `App\Jobs\EncryptedJob` || !errors.Is(err, spool.ErrNotHere) {
			t.Errorf("%s: got error %v", tt.name, err)
		}
		if p.Name != `App\Jobs\EncryptedJob` {
			t.Errorf("%s: name %q", tt.name, p.Name)
		}
	}
	p := decodeKind(t, newFormat(t, &laravel.Options{Key: other, PreviousKeys: []string{testKey}}), "phpredis", "encrypted")
	if err := p.Into(new(any)); err != nil {
		t.Errorf("with the previous key: %v", err)
	}
}

func TestEncryptedRoundTrip(t *testing.T) {
	cmd := laravel.NewCommand("A", laravel.Private("bytes", "\xff\x00"))
	cmd.Encrypt = true
	for cipher, key := range map[string]string{
		"": testKey, "aes-256-cbc": testKey, "AES-256-GCM": testKey, "AES-128-CBC": "0123456789abcdef", "AES-128-GCM": "0123456789abcdef",
	} {
		f := newFormat(t, &laravel.Options{Key: key, Cipher: cipher})
		body, err := f.Encode(&spool.Draft{Data: cmd})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), "O:1") {
			t.Errorf("%s: in clear: %s", cipher, body)
		}
		p, err := f.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		var v struct{ Bytes []byte }
		if err := p.Into(&v); err != nil || string(v.Bytes) != "\xff\x00" {
			t.Errorf("%s: %q, %v", cipher, v.Bytes, err)
		}
	}
	var k *laravel.KeyError
	if _, err := newFormat(t, nil).Encode(&spool.Draft{Data: cmd}); !errors.As(err, &k) {
		t.Errorf("without a key: %v", err)
	}
}

func TestPHPValuesThatGoHasTypesFor(t *testing.T) {
	type suit string
	o := &phpserial.Object{Class: `App\Jobs\Job`}
	o.Set("items", &phpserial.Object{Class: `Illuminate\Support\Collection`, Props: []laravel.Prop{laravel.Protected("items", []int{1, 2})}})
	o.Set("title", &phpserial.Object{Class: `Illuminate\Support\Stringable`, Props: []laravel.Prop{laravel.Protected("value", "t")}})
	o.Set("suit", &phpserial.Enum{Class: "Suit", Case: "Hearts"})
	o.Set("at", laravel.Carbon(time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)))
	o.Set("batchId", "a batch of the plant")
	o.Set("queue", "emails")
	o.Set("job", nil)
	text, err := phpserial.Encode(o)
	if err != nil {
		t.Fatal(err)
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newFormat(t, nil).Decode([]byte(`{"job":"Illuminate\\Queue\\CallQueuedHandler@call","data":{"command":` + string(quoted) + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	type job struct {
		Items   []int
		Title   string
		Suit    suit
		At      time.Time
		BatchID string
		Queue   string
	}
	var got job
	if err := p.Into(&got); err != nil {
		t.Fatal(err)
	}
	want := job{[]int{1, 2}, "t", "Hearts", time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), "a batch of the plant", ""}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if want := `{"items":[1,2],"title":"t","suit":"Hearts","at":"2026-01-02T03:04:05.000006Z","batchId":"a batch of the plant"}`; string(p.Data) != want {
		t.Errorf("Data is %s", p.Data)
	}
	if p.Name != `App\Jobs\Job` {
		t.Errorf("name without commandName is %q", p.Name)
	}
}

// A job that holds itself is read, and written as it was.
func TestJobThatRefersToItself(t *testing.T) {
	const text = `O:1:"A":2:{s:2:"id";i:1;s:2:"me";r:1;}`
	quoted, _ := json.Marshal(text)
	p, err := newFormat(t, nil).Decode([]byte(`{"job":"Illuminate\\Queue\\CallQueuedHandler@call","data":{"commandName":"A","command":` + string(quoted) + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"id":1,"me":null}`; string(p.Data) != want {
		t.Errorf("Data is %s, want %s", p.Data, want)
	}
	cmd, err := laravel.CommandOf(p)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := cmd.Serialize(); err != nil || got != text {
		t.Errorf("Serialize: %s, %v", got, err)
	}
}

func TestRetry(t *testing.T) {
	in := pushes(t, "phpredis")[0].Payload
	popped := strings.Replace(in, `"attempts":0`, `"attempts":3`, 1)
	got, err := newFormat(t, nil).Retry([]byte(popped), time.Now())
	if err != nil || string(got) != in {
		t.Errorf("got %s, %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, p := range pushes(f, "phpredis") {
		f.Add([]byte(p.Payload))
	}
	format := newFormat(f, &laravel.Options{Key: testKey, Limits: phpserial.Options{MaxDepth: 100, MaxValues: 10000}})
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := format.Decode(body)
		if err != nil {
			return
		}
		if p.Into != nil {
			var v any
			_ = p.Into(&v)
			var r reminder
			_ = p.Into(&r)
		}
		if cmd, err := laravel.CommandOf(p); err == nil && cmd != nil {
			_, _ = cmd.Next()
			_ = cmd.JobOptions()
			if _, err := cmd.Serialize(); err != nil {
				t.Errorf("read but not written: %v", err)
			}
		}
		if p.Job == laravel.HandlerJob && p.Data != nil && !json.Valid(p.Data) {
			t.Errorf("Data is no JSON: %q", p.Data)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	f := newFormat(b, nil)
	for _, kind := range []string{"bench", "reminder", "string"} {
		for _, in := range pushes(b, "phpredis") {
			if in.Kind != kind {
				continue
			}
			b.Run(kind, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := f.Decode([]byte(in.Payload)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
