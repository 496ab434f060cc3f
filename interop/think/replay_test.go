package think

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool/internal/testserver"
)

func TestMain(m *testing.M) {
	testserver.Parallel(12) // cells mostly wait, for leases and for whole seconds to pass
	testserver.Main(m)
}

// recording is a scenario of the real think-queue, see ../../think/testdata.
type recording struct {
	Config struct {
		Settings map[string]any `json:"settings"`
	} `json:"config"`
	Steps  []step `json:"steps"`
	Tables map[string]struct {
		Create string `json:"create"`
	} `json:"tables"` // of the scenario schema
}

type step struct {
	Step     string    `json:"step"`
	Call     string    `json:"call"`
	Now      int64     `json:"unix_before"`
	Returned any       `json:"returned"`
	Raised   *struct{} `json:"raised"`
	Files    []struct {
		Path    string `json:"path"`
		Content string `json:"content"`
	} `json:"files"`
	Given json.RawMessage `json:"given"`
	Job   *struct {
		Attempts any `json:"attempts"`
	} `json:"job"`
	State map[string]any `json:"state"`
}

func recordings(t *testing.T, version, driver string) map[string]recording {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "think", "testdata", version+"-"+driver+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]recording
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// versions are those that were recorded, and their profiles.
var versions = []struct{ version, profile string }{
	{"v1.1.2", "tq1"}, {"v2.0.4", "tq1"}, {"v3.0.4", "tq3-legacy"}, {"v3.0.9", "tq3"},
}

// TestThePeerIsThinkQueue has the peer do what was done to the real one, at the
// same time of its clock, and compares the whole store after each call.
func TestThePeerIsThinkQueue(t *testing.T) {
	php := requirePHP(t)
	for _, v := range versions {
		for _, driver := range []string{"redis", "database"} {
			t.Run(v.version+"/"+driver, func(t *testing.T) {
				t.Parallel()
				all := recordings(t, v.version, driver)
				var st store = newRedisStore(t)
				if driver == "database" {
					st = newTableStore(t, all["schema"].Tables["tp_jobs"].Create)
				}
				for _, name := range []string{"push", "later", "lifecycle", "expiry", "order", "queues", "poison", "foreign"} {
					rec, ok := all[name]
					if !ok {
						continue // not every scenario was recorded for each
					}
					t.Run(name, func(t *testing.T) { replay(t, php, st, strings.TrimPrefix(v.version, "v"), v.profile, name, rec) })
				}
			})
		}
	}
}

// TestThePeersRestartIsThinkQueues compares what queue:restart leaves in the
// application's cache, in Redis and in files.
func TestThePeersRestartIsThinkQueues(t *testing.T) {
	php := requirePHP(t)
	redis := newRedisStore(t)
	for _, v := range []struct{ version, framework string }{{"v1.1.2", "5.0.7"}, {"v2.0.4", "5.1.42"}, {"v3.0.4", "6.0.16"}, {"v3.0.9", "8.0.4"}} {
		for _, s := range recordings(t, v.version, "redis")["restart"].Steps {
			redis.clear(t)
			dir := t.TempDir()
			settings := redis.settings(t)
			settings["prefix"] = ""
			if strings.Contains(s.Step, `prefix "myapp:"`) {
				settings["prefix"] = "myapp:"
			}
			if len(s.Files) > 0 {
				settings = map[string]any{"path": dir, "framework": v.framework}
			}
			file := writeJSON(t, map[string]any{"profile": "tq3", "version": "3.0.9", "driver": "redis", "cache": settings})
			before := time.Now().Unix()
			if out, err := runPHP(t.Context(), php, "peer.php", file, "restart").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if len(s.Files) > 0 {
				got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(s.Files[0].Path)))
				if want := s.Files[0].Content; err != nil || then(string(got), before) != then(want, s.Now) {
					t.Errorf("%s, %s: the file holds %q, %v; want %q", v.version, s.Step, got, err, want)
				}
				continue
			}
			for key := range s.State {
				got, err := redis.client.Do(t.Context(), redis.client.B().Get().Key(key).Build()).ToString()
				if err != nil || then(got, before) != "THEN" {
					t.Errorf("%s, %s: %s holds %q, %v", v.version, s.Step, key, got, err)
				}
			}
		}
	}
}

// then has a word for the seconds since it was now.
func then(text string, now int64) string {
	for n := now; n <= max(now, time.Now().Unix()) && n < now+600; n++ {
		text = strings.ReplaceAll(text, strconv.FormatInt(n, 10), "THEN")
	}
	return text
}

// unlike says why a step can't be replayed: its call needs what isn't ours.
func unlike(s step) string {
	switch {
	case strings.Contains(s.Call, "ObjJob"):
		return "an object of the recorder's own class"
	case strings.Contains(s.Call, "fire()"):
		return "it changes nothing: the recorder's handler keeps the job"
	case strings.Contains(s.Call, "new DateTime('+"):
		return "the recorder's clock"
	case strings.Contains(s.Step, "nan"), strings.Contains(s.Step, "recursion"), strings.Contains(s.Step, "invalid"):
		return "refused"
	}
	return ""
}

func replay(t *testing.T, php []string, st store, version, profile, scenario string, rec recording) {
	settings := st.settings(t)
	settings["profile"], settings["version"], settings["name"] = profile, version, "replay"
	settings["expire"] = rec.Config.Settings["expire"]
	if profile != "tq1" {
		settings["expire"] = rec.Config.Settings["retry_after"]
	}
	p := startReplay(t, php, settings)
	// What was done to an empty store each time.
	fresh := slices.Contains([]string{"push", "later", "queues"}, scenario)
	ours, theirs := ids{}, ids{}
	part, compared := "", 0
	st.clear(t)
	for _, s := range rec.Steps {
		if now, _, _ := strings.Cut(s.Step, ":"); fresh || now != part && strings.Contains(s.Step, ":") {
			st.clear(t)
			part = now
		}
		if unlike(s) != "" {
			continue
		}
		const queue = "default"
		if scenario == "foreign" && s.Given != nil {
			st.add(t, profile, given(t, s))
		}
		if s.Call == "RPUSH" {
			list := s.State["queues:default"]
			if profile == "tq3" {
				list = s.State["{queues:default}"]
			}
			items := list.(map[string]any)["items"].([]any)
			st.add(t, profile, items[len(items)-1].(string))
		} else {
			a := p.call(s.Call, s.Now, queue)
			if (a.Raised != "") != (s.Raised != nil) {
				t.Errorf("%s: raised %q, but the real one did: %v", s.Step, a.Raised, s.Raised != nil)
			}
			if s.Job != nil {
				if _, odd := s.Job.Attempts.(map[string]any); !odd && s.Job.Attempts != a.Attempts {
					t.Errorf("%s: the job has %v attempts, the real one %v", s.Step, a.Attempts, s.Job.Attempts)
				}
			}
			if (s.Returned == nil) != (a.Returned == nil) {
				t.Errorf("%s: returned %v, the real one %v", s.Step, a.Returned, s.Returned)
			}
		}
		if diff := cmp.Diff(theirs.normal(s.State), ours.normal(st.state(t))); diff != "" {
			t.Fatalf("%s: after %s the store is (-real +peer):\n%s", s.Step, s.Call, diff)
		}
		compared++
	}
	if compared < len(rec.Steps)/2 {
		t.Errorf("only %d of %d steps were compared", compared, len(rec.Steps))
	}
}

// given is what another producer wrote.
func given(t *testing.T, s step) string {
	t.Helper()
	var text string
	if json.Unmarshal(s.Given, &text) == nil {
		return text
	}
	var odd struct {
		Base64 []byte `json:"base64"`
	}
	if err := json.Unmarshal(s.Given, &odd); err != nil {
		t.Fatalf("%s: %v: %s", s.Step, err, s.Given)
	}
	return string(odd.Base64)
}

// replaying is a running replay.php.
type replaying struct {
	t   *testing.T
	in  *json.Encoder
	out *bufio.Scanner
}

type answer struct {
	Returned, Attempts any
	Raised             string
}

func startReplay(t *testing.T, php []string, settings map[string]any) *replaying {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := runPHP(ctx, php, "replay.php", writeJSON(t, settings))
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // ends it
		if err := cmd.Wait(); err != nil && !t.Failed() {
			t.Errorf("replay.php: %v", err)
		}
		cancel()
	})
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	return &replaying{t: t, in: json.NewEncoder(in), out: lines}
}

func (p *replaying) call(source string, now int64, queue string) (a answer) {
	p.t.Helper()
	if err := p.in.Encode(map[string]any{"call": source, "now": now, "queue": queue}); err != nil {
		p.t.Fatal(err)
	}
	if !p.out.Scan() {
		p.t.Fatalf("replay.php ended at %s", source)
	}
	if err := json.Unmarshal(p.out.Bytes(), &a); err != nil {
		p.t.Fatalf("%v: %s", err, p.out.Text())
	}
	return a
}

// ids gives the random ids of one side numbers, in the order they turn up.
type ids map[string]int

var idPattern = regexp.MustCompile(`"id":"([0-9A-Za-z]{32})"`)

// normal renders a state so that two are equal if they differ in ids only.
func (n ids) normal(state map[string]any) map[string][]string {
	out := map[string][]string{}
	for _, key := range slices.Sorted(mapsKeys(state)) {
		c := state[key].(map[string]any)
		list, _ := c["items"].([]any)
		if rows, ok := c["rows"].([]any); ok {
			list = rows
		}
		for _, item := range list {
			text, ok := item.(string)
			if !ok {
				m := item.(map[string]any)
				b, err := json.Marshal(m)
				if err != nil {
					panic(err) // it came out of JSON
				}
				text = string(b)
				if score, ok := m["score"].(string); ok {
					f, _ := strconv.ParseFloat(score, 64)
					text = fmt.Sprintf("%v %v", f, m["text"])
				}
			}
			text = strings.ReplaceAll(text, `\"`, `"`)
			out[key] = append(out[key], idPattern.ReplaceAllStringFunc(text, func(id string) string {
				if n[id] == 0 {
					n[id] = len(n) + 1
				}
				return fmt.Sprintf(`"id":%d`, n[id])
			}))
		}
	}
	return out
}
