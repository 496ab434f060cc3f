package connect

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/failed"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/worker"
)

// What becomes of a body that somebody else has put on a queue.
const (
	ran      = "ran"           // its handler had the data
	setAside = "set aside"     // among the failed jobs, with its bytes
	putBack  = "put back"      // for another worker, as it was
	keyNamed = "put back: key" // and the log says which setting to look at
)

const badKey = "base64:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// encrypted is the command of a job for a key.
func encrypted(t *testing.T, key string) string {
	t.Helper()
	f, err := laravel.New(&laravel.Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	cmd := laravel.NewCommand(`App\Jobs\X`, laravel.Public("note", "secret"))
	cmd.Encrypt = true
	body, err := f.Encode(&spool.Draft{Data: cmd})
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		Data struct{ Command string }
	}
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatal(err)
	}
	return e.Data.Command
}

// tampered changes the sealed text of an encrypted command, and leaves its MAC.
func tampered(t *testing.T, command, field string) string {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(command)
	if err != nil {
		t.Fatal(err)
	}
	var sealed map[string]string
	if err := json.Unmarshal(text, &sealed); err != nil {
		t.Fatal(err)
	}
	first := map[bool]string{true: "A", false: "B"}[sealed[field][0] != 'A']
	if field == "mac" {
		first = map[bool]string{true: "0", false: "1"}[sealed[field][0] != '0']
	}
	sealed[field] = first + sealed[field][1:]
	text, err = json.Marshal(sealed)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(text)
}

// class is the payload of a class job with this command.
func class(name, command string) string {
	text, _ := json.Marshal(map[string]string{"commandName": name, "command": command}) // strings always encode
	return `{"uuid":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","displayName":"X","job":"Illuminate\\Queue\\CallQueuedHandler@call","data":` + string(text) + `,"id":"x","attempts":0}`
}

// x is a class job of this property.
func x(property string) string {
	return class(`App\Jobs\X`, `O:10:"App\Jobs\X":1:{s:4:"note";`+property+`}`)
}

// badInput is what a queue may hold that no healthy producer wrote.
func badInput(t *testing.T) []struct{ name, body, want string } {
	deep := func(n int) string { return strings.Repeat("a:1:{i:0;", n) + "N;" + strings.Repeat("}", n) }
	const two = `O:10:"App\Jobs\X":2:{s:4:"note";s:1:"n";s:5:"other";`
	ours, theirs := encrypted(t, appKey), encrypted(t, badKey)
	return []struct{ name, body, want string }{
		{"a string longer than it is", x(`s:999:"n";`), setAside},
		{"a string of less than no length", x(`s:-1:"n";`), setAside},
		{"an array of a thousand million", x(`a:1000000000:{i:0;N;}`), setAside},
		{"an array with fewer entries", x(`a:3:{i:0;N;}`), setAside},
		{"an object with more properties", class(`App\Jobs\X`, `O:10:"App\Jobs\X":9:{s:4:"note";s:1:"n";}`), setAside},
		{"arrays 10,000 deep", x(deep(10_000)), setAside},
		{"arrays 10,000 deep, unclosed", x(strings.Repeat("a:1:{i:0;", 10_000)), setAside},
		{"itself", class(`App\Jobs\X`, two+`r:1;}`), ran},
		{"a reference to itself", class(`App\Jobs\X`, two+`R:1;}`), ran},
		{"a reference to nothing", x(`R:99;`), setAside},
		{"an object of a class unknown", class(`App\Jobs\X`, two+`O:12:"No\Such\Type":1:{s:1:"a";r:1;}}`), ran},
		{"a job of a class unknown", class(`App\Jobs\Nobody`, `O:15:"App\Jobs\Nobody":0:{}`), putBack},
		{"C: in a property", class(`App\Jobs\X`, two+`C:3:"Old":5:{x:{};}}`), ran},
		{"C: longer than it is", class(`App\Jobs\X`, two+`C:3:"Old":500:{x:{};}}`), setAside},
		{"E: in a property", class(`App\Jobs\X`, two+`E:11:"Suit:Hearts";}`), ran},
		{"E: without a case", class(`App\Jobs\X`, two+`E:4:"Suit";}`), setAside},
		{"C: as the job", class(`App\Jobs\X`, `C:10:"App\Jobs\X":2:{{}}`), setAside},
		{"E: as the job", class(`App\Jobs\X`, `E:12:"App\Jobs\X:A";`), setAside},
		{"nothing as the job", class(`App\Jobs\X`, ``), setAside},
		{"no class", class(``, `O:0:"":0:{}`), setAside},
		{"encrypted", class(`App\Jobs\X`, ours), ran},
		{"encrypted with another key", class(`App\Jobs\X`, theirs), keyNamed},
		{"a tampered text", class(`App\Jobs\X`, tampered(t, ours, "value")), keyNamed},
		{"a tampered start", class(`App\Jobs\X`, tampered(t, ours, "iv")), keyNamed},
		{"a tampered MAC", class(`App\Jobs\X`, tampered(t, ours, "mac")), keyNamed},
		{"half an encrypted text", class(`App\Jobs\X`, ours[:len(ours)/2/4*4]), setAside},
		{"no object", `["a"]`, setAside},
		{"half a payload", x(`s:1:"n";`)[:60], setAside},
		{"no text", "\xff\xfe\x00", setAside},
		{"JSON 20,000 deep", `{"job":"x","attempts":0,"data":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}", setAside},
		{"rewritten by cjson", cjson(t, `{"uuid":"u","displayName":"plain","job":"plain","maxTries":1,"timeout":60,"backoff":[],"tags":[],"pushedAt":1795195870.123,"data":{"note":"n","items":[],"big":12345678901234567,"n":3},"id":"x","attempts":0}`), ran},
	}
}

// cjson is a payload after PHP has popped it.
func cjson(t *testing.T, body string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(testserver.Redis(t))
	s := set(t, "laravel: none\nqueue: {default: redis}\ncache: {default: array}\n", "REDIS_HOST="+host, "REDIS_PORT="+port)
	c, err := s.Redis(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.Do(t.Context(), c.B().Eval().Script("return cjson.encode(cjson.decode(ARGV[1]))").Numkeys(0).Arg(body).Build()).ToString()
	if err != nil || !strings.Contains(text, `"items":{}`) || !strings.Contains(text, "e+16") {
		t.Fatalf("%s, %v", text, err)
	}
	return text
}

const appKey = "base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// TestBadInput has a worker meet each of them: it goes on, and nothing is lost.
func TestBadInput(t *testing.T) {
	host, port, err := net.SplitHostPort(testserver.NewRedis(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	const yaml = "laravel: none\nqueue: {default: %s, failed: {driver: file, path: failed.json, limit: 1000}}\ncache: {default: array}\n"
	for _, store := range []string{"database", "redis"} {
		t.Run(store, func(t *testing.T) {
			for _, c := range badInput(t) {
				t.Run(c.name, func(t *testing.T) {
					s := set(t, fmt.Sprintf(yaml, store), "APP_KEY="+appKey, "REDIS_HOST="+host, "REDIS_PORT="+port, "REDIS_PREFIX="+filepath.Base(t.Name())+":")
					meets(t, s, c.body, c.want)
				})
			}
			t.Run("encrypted, and no key is set", func(t *testing.T) {
				s := set(t, fmt.Sprintf(yaml, store), "REDIS_HOST="+host, "REDIS_PORT="+port, "REDIS_PREFIX=none:")
				meets(t, s, class(`App\Jobs\X`, encrypted(t, appKey)), keyNamed)
			})
		})
	}
}

// meets puts a body on the queue, as it is, and has a worker take it.
func meets(t *testing.T, s *Set, body, want string) {
	t.Helper()
	raw(t, s, body)
	type data struct {
		Note  string
		Items []string
		Big   int64
		N     int
	}
	got := ""
	handle := func(_ context.Context, j *spool.Job) error {
		var d data
		if err := j.Decode(&d); err != nil {
			return err
		}
		if d.Note == "" || len(d.Items) > 0 || d.Big != 0 && (d.Big != 12345678901235000 || d.N != 3) {
			t.Errorf("the handler had %+v", d)
		}
		got = ran
		return nil
	}
	s.Mux.HandleFunc(`App\Jobs\X`, handle)
	s.Mux.HandleFunc("plain", handle)
	conn, err := s.Manager.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.WorkerOptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o.StopWhenEmpty, o.Logger = true, slog.New(slog.NewTextHandler(&log, nil))
	if _, err := worker.New(conn, s.Mux, o).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Redis counts attempts in the body.
	same := func(b []byte, attempts int) bool {
		return string(b) == body || string(b) == strings.Replace(body, `"attempts":0`, fmt.Sprintf(`"attempts":%d`, attempts), 1)
	}
	recs, _, err := o.Failed.List(t.Context(), failed.Filter{}, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recs {
		if got += setAside; !same(r.Payload, 1) {
			t.Errorf("set aside as %q", r.Payload)
		}
	}
	entries, _, err := conn.List(t.Context(), "", driver.Delayed, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if got += putBack; strings.Contains(log.String(), "APP_KEY") {
			got = keyNamed
		}
		if string(e.Body) != body || e.Attempts != 0 {
			t.Errorf("put back with %d attempts as %q", e.Attempts, e.Body)
		}
	}
	if size, err := conn.Size(t.Context(), ""); err != nil || size.Total() != int64(len(entries)) {
		t.Errorf("the queue has %+v, %v", size, err)
	}
	if got != want {
		t.Errorf("it was %q, want %q; the log:\n%s", got, want, &log)
	}
}

// raw stores a body as another producer would, whatever Push refuses.
func raw(t *testing.T, s *Set, body string) {
	t.Helper()
	if s.Config.Default == "database" {
		db, err := s.Database(t.Context(), "")
		if err == nil {
			_, err = schema.Create(t.Context(), db, schema.Names{Jobs: "jobs", Workers: "spool_workers"})
		}
		if err == nil {
			_, err = db.SQL().ExecContext(t.Context(), "INSERT INTO jobs (queue, payload, attempts, available_at, created_at) VALUES ('default', ?, 0, 1, 1)", body)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	c, err := s.Redis(t.Context(), "")
	if err == nil {
		err = errors.Join(c.Do(t.Context(), c.B().Rpush().Key(s.Config.Redis["default"].Prefix+"queues:default").Element(body).Build()).Error(),
			c.Do(t.Context(), c.B().Rpush().Key(s.Config.Redis["default"].Prefix+"queues:default:notify").Element("1").Build()).Error())
	}
	if err != nil {
		t.Fatal(err)
	}
}
