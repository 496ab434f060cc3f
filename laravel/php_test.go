package laravel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/memqueue"
)

// missing skips the test, or fails it where nothing may be skipped.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", what)
	}
	t.Skipf("%s is not installed", what)
}

// php gives payloads to testdata/run.php and returns its lines.
func php(t *testing.T, payloads [][]byte, args ...string) []string {
	t.Helper()
	bin, err := exec.LookPath("php")
	if err != nil {
		missing(t, "php")
	}
	cmd := exec.CommandContext(t.Context(), bin, append([]string{"testdata/run.php"}, args...)...)
	cmd.Stdin = bytes.NewReader(append(bytes.Join(payloads, []byte("\n")), '\n'))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("php: %v\n%s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestPHPReadsOurCommands(t *testing.T) {
	cmd := laravel.NewCommand(`App\Jobs\Simple`,
		laravel.Public("id", 7), laravel.Protected("name", "中文/\"x\""), laravel.Private("secret", []any{1.5, nil, true}),
		laravel.Public("at", laravel.Carbon(time.Date(2026, 1, 2, 3, 4, 5, 6000000, time.UTC))),
		laravel.Public("user", laravel.ModelIdentifier{Class: `App\Models\User`, ID: []int{1, 2}}),
	).OnQueue("emails").ChainOn("", "pod").WithDelay(1500 * time.Millisecond)
	if err := cmd.Then(laravel.NewCommand(`App\Jobs\Simple`, laravel.Public("id", 8))); err != nil {
		t.Fatal(err)
	}
	body, err := newFormat(t, nil).Encode(&spool.Draft{Data: cmd})
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal([]byte(php(t, [][]byte{body})[0]), &got); err != nil {
		t.Fatal(err)
	}
	const link = `{"id":8,"name":"default","secret":"kept","n":5,"connection":null,"queue":null,"delay":null,"chained":[],"chainQueue":null,"at":null,"user":null}`
	if err := json.Unmarshal([]byte(`{"App\\Jobs\\Simple":{"id":7,"name":"中文/\"x\"","secret":[1.5,null,true],"n":5,"connection":null,"queue":"emails","delay":2,
		"chained":[`+link+`],"chainQueue":"pod","at":"Illuminate\\Support\\Carbon 2026-01-02T03:04:05.006+00:00",
		"user":"Illuminate\\Contracts\\Database\\ModelIdentifier {\"class\":\"App\\\\Models\\\\User\",\"id\":[1,2],\"relations\":[],\"connection\":null,\"collectionClass\":null}"}}`), &want); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// What we encrypt the real Encrypter opens, and the other way round.
func TestRealEncrypter(t *testing.T) {
	short := "base64:MDEyMzQ1Njc4OWFiY2RlZg=="
	for cipher, key := range map[string]string{"AES-256-CBC": testKey, "AES-128-CBC": short, "AES-256-GCM": testKey, "AES-128-GCM": short} {
		f := newFormat(t, &laravel.Options{Key: key, Cipher: cipher})
		cmd := laravel.NewCommand(`App\Jobs\Simple`, laravel.Public("id", "é\xff"))
		cmd.Encrypt = true
		body, err := f.Encode(&spool.Draft{Data: cmd})
		if err != nil {
			t.Fatal(err)
		}
		answer := php(t, [][]byte{body}, key, cipher)[0]
		if answer == "no encrypter" {
			missing(t, "php-laravel-framework")
		}
		p, err := f.Decode([]byte(answer))
		if err != nil {
			t.Fatalf("%s: %v", answer, err)
		}
		var v struct {
			ID   []byte
			Name string
		}
		if err := p.Into(&v); err != nil || string(v.ID) != "é\xff" || v.Name != "default" {
			t.Errorf("%s: got %+v, %v", cipher, v, err)
		}
	}
}

// A command is dispatched like any job: its properties say where and how.
func TestDispatch(t *testing.T) {
	conn := memqueue.New(nil)
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "default", Format: newFormat(t, nil), Open: func(context.Context) (driver.Conn, error) { return conn, nil }})
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	cmd := laravel.NewCommand(`App\Jobs\Simple`, laravel.Public("id", 7), laravel.Public("tries", 3), laravel.Public("backoff", []int{1, 5}),
		laravel.Public("timeout", 60), laravel.Public("maxExceptions", 2), laravel.Public("failOnTimeout", true),
		laravel.Public("retryUntil", laravel.Carbon(time.Unix(4000000000, 0)))).OnQueue("emails")
	for _, job := range []any{cmd, *cmd} {
		if _, err := spool.Dispatch(t.Context(), spool.NewClient(m, nil), job); err != nil {
			t.Fatal(err)
		}
	}
	rs, err := conn.Reserve(t.Context(), "emails", 5)
	if err != nil || len(rs) != 2 {
		t.Fatalf("got %d jobs, %v", len(rs), err)
	}
	for _, r := range rs {
		p, err := newFormat(t, nil).Decode(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		want := spool.Policy{Tries: new(3), Backoff: []time.Duration{time.Second, 5 * time.Second}, Timeout: new(time.Minute), MaxExceptions: 2, FailOnTimeout: true, RetryUntil: time.Unix(4000000000, 0)}
		if d := cmp.Diff(want, p.Policy); d != "" {
			t.Errorf("policy (-want +got)\n%s", d)
		}
		if p.Name != `App\Jobs\Simple` {
			t.Errorf("name %q", p.Name)
		}
	}
}
