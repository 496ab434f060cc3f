package spool_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/phpjson"
)

var noon = time.Unix(1795174122, 0)

// The sample of a string job that Laravel 13 wrote on Redis (its uuid, id and
// time are given to the draft).
const laravel13 = `{"uuid":"bbc694f8-af48-44ac-a6b1-d5c737ec0b05","displayName":"App\\Jobs\\Legacy","job":"App\\Jobs\\Legacy@run",` +
	`"maxTries":null,"maxExceptions":null,"failOnTimeout":false,"backoff":null,"timeout":null,"data":{"k":"中文\/x","e":[]},` +
	`"createdAt":1795174122,"id":"9movWRvUPfUwn0iWao0xBRT6H09p1PDy","attempts":0,"delay":null}`

func TestAStringJobIsStoredAsLaravel13Does(t *testing.T) {
	type data struct {
		K string `json:"k"`
		E []int  `json:"e"`
	}
	got, err := spool.Native.Encode(&spool.Draft{
		UUID: "bbc694f8-af48-44ac-a6b1-d5c737ec0b05", ID: "9movWRvUPfUwn0iWao0xBRT6H09p1PDy",
		Name: `App\Jobs\Legacy@run`, Data: data{"中文/x", []int{}}, Created: noon, CountsInBody: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(laravel13, string(got)); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestPolicyTravelsInThePayload(t *testing.T) {
	d := &spool.Draft{Name: "n", Data: 1, Created: noon, Delay: 90 * time.Second, Extra: map[string]any{"tags": []string{"a"}}}
	for _, o := range []spool.PolicyOption{
		spool.Tries(5), spool.MaxExceptions(3), spool.Timeout(1500 * time.Millisecond),
		spool.Backoff(time.Second, 5*time.Second), spool.RetryUntil(time.Unix(1800000000, 0)), spool.FailOnTimeout(),
	} {
		o(&d.Policy)
	}
	body, err := spool.Native.Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"maxTries":5`, `"maxExceptions":3`, `"timeout":2`, `"backoff":"1,5"`, `"retryUntil":1800000000`, `"failOnTimeout":true`, `"delay":90`, `"tags":["a"]`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%s lacks %s", body, want)
		}
	}
	p, err := spool.Native.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if *p.Policy.Tries != 5 || p.Policy.MaxExceptions != 3 || *p.Policy.Timeout != 2*time.Second || !p.Policy.FailOnTimeout ||
		p.Policy.RetryUntil.Unix() != 1800000000 || p.Delay != 90*time.Second || len(p.Policy.Backoff) != 2 {
		t.Errorf("came back as %+v", p)
	}
}

func TestDecodeIsLenientWherePHPAndRedisAre(t *testing.T) {
	tests := []struct {
		name, body string
		check      func(p *spool.Payload) bool
	}{
		{"numbers as text", `{"job":"j","maxTries":"3","timeout":"60"}`, func(p *spool.Payload) bool { return *p.Policy.Tries == 3 && *p.Policy.Timeout == time.Minute }},
		{"numbers as floats", `{"job":"j","retryUntil":1.8e9,"attempts":3.0}`, func(p *spool.Payload) bool { return p.Policy.RetryUntil.Unix() == 1800000000 && p.Attempts == 3 }},
		{"a legacy delay is the backoff", `{"job":"j","delay":600}`, func(p *spool.Payload) bool { return p.Policy.BackoffAfter(1) == 10*time.Minute }},
		{"a modern delay is not", `{"job":"j","createdAt":1795174122,"delay":600}`, func(p *spool.Payload) bool { return p.Policy.Backoff == nil && p.Delay == 10*time.Minute }},
		{"timeoutAt of Laravel 5 to 7", `{"job":"j","timeoutAt":1800000000}`, func(p *spool.Payload) bool { return p.Policy.RetryUntil.Unix() == 1800000000 }},
		{"backoff as a list", `{"job":"j","backoff":[1,5]}`, func(p *spool.Payload) bool { return p.Policy.BackoffAfter(9) == 5*time.Second }},
		{"backoff of one digit", `{"job":"j","backoff":10}`, func(p *spool.Payload) bool { return p.Policy.BackoffAfter(1) == 10*time.Second }},
		{"an empty list rewritten", `{"job":"j","backoff":{}}`, func(p *spool.Payload) bool { return p.Policy.Backoff == nil }},
		{"tries 0 is any number", `{"job":"j","maxTries":0}`, func(p *spool.Payload) bool { return *p.Policy.Tries == 0 }},
		{"spaces and escapes", " {\n\"job\" : \"\\u4e2d\\/x\" , \"data\" : { \"a\" : [ ] } } ", func(p *spool.Payload) bool { return p.Name == "中/x" && string(p.Data) == "{ \"a\" : [ ] }" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := spool.Native.Decode([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if !tt.check(p) {
				t.Errorf("got %+v", p)
			}
		})
	}
}

func TestWhatIsNoJobIsRefused(t *testing.T) {
	for _, body := range []string{"", "x", "[]", "null", "7", `{"job":"j"`, `{}`, `{"job":[]}`, `{"job":"j","maxTries":"many"}`, "{\"job\":\"\xff\"", `{"job":""}`, "{\"job\":\"j\",\"data\":\"\xff\"}"} {
		if p, err := spool.Native.Decode([]byte(body)); err == nil {
			t.Errorf("%q: decoded to %+v", body, p)
		}
	}
}

func TestTextThatWouldNotComeBackIsRefusedAtPush(t *testing.T) {
	_, err := spool.Native.Encode(&spool.Draft{Name: "n", Data: map[string]string{"a": "\xff"}})
	if !errors.Is(err, phpjson.ErrText) {
		t.Errorf("got %v", err)
	}
	if _, err := spool.Native.Encode(&spool.Draft{Name: "n", Data: map[string]string{"a": "\ufffd"}}); err != nil {
		t.Errorf("a real replacement character: %v", err)
	}
}

func TestRetryChangesOnlyAttemptsAndAPassedDeadline(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"attempts", `{"a":{"attempts":9}, "attempts": 3,"z":1}`, `{"a":{"attempts":9}, "attempts": 0,"z":1}`},
		{"no attempts", `{"job":"j"}`, `{"job":"j"}`},
		{"a passed deadline moves by its span", `{"retryUntil":1795174000,"createdAt":1795173900}`, `{"retryUntil":1795174222,"createdAt":1795173900}`},
		{"a passed deadline of unknown span gets a day", `{"retryUntil":1795174000}`, `{"retryUntil":1795260522}`},
		{"a deadline to come stays", `{"retryUntil":1895174000}`, `{"retryUntil":1895174000}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := spool.Native.Retry([]byte(tt.body), noon)
			if err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(laravel13))
	f.Add([]byte(`{"job":"j","backoff":[1],"delay":{},"retryUntil":"1"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := spool.Native.Decode(body)
		if err != nil {
			return
		}
		if len(p.Data) > 0 && !json.Valid(p.Data) {
			t.Errorf("data is not JSON: %q", p.Data)
		}
		again, err := spool.Native.Retry(body, noon)
		if err != nil {
			t.Fatalf("decoded but can't be retried: %v", err)
		}
		if q, err := spool.Native.Decode(again); err != nil || q.Name != p.Name {
			t.Errorf("after a retry: %+v, %v", q, err)
		}
	})
}

func TestExtraReplacesKeysButNotTheBackends(t *testing.T) {
	got, err := spool.Native.Encode(&spool.Draft{
		Name: "n", Data: 1, Created: noon, CountsInBody: true, ID: "x",
		Extra: map[string]any{"displayName": "N", "timeout": 5, "attempts": 9, "z": true},
	})
	want := `{"uuid":"","displayName":"N","job":"n","maxTries":null,"maxExceptions":null,"failOnTimeout":false,"backoff":null,` +
		`"timeout":5,"data":1,"createdAt":1795174122,"id":"x","attempts":0,"delay":null,"z":true}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}
