package think_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/phpjson"
	"github.com/spoolq/spool/think"
)

// captured is what the real think-queue left behind, see testdata/README.md.
type captured struct {
	Version string `json:"think_queue"`
	Steps   []struct {
		Step  string `json:"step"`
		Given struct {
			Job  string  `json:"job"`
			Data *string `json:"data_json"`
		} `json:"given"`
		Returned any                 `json:"returned"`
		Raised   json.RawMessage     `json:"raised"`
		State    map[string]contents `json:"state"`
	} `json:"steps"`
}

// contents is one key or table.
type contents struct {
	Type  string            `json:"type"`
	Items []json.RawMessage `json:"items"`
	Rows  []struct {
		Payload string `json:"payload"`
	} `json:"rows"`
}

// payload returns the newest payload of a state.
func payload(t *testing.T, state map[string]contents) string {
	t.Helper()
	for name, c := range state {
		switch {
		case c.Type == "list":
			var s string
			if err := json.Unmarshal(c.Items[len(c.Items)-1], &s); err != nil {
				t.Fatal(err)
			}
			return s
		case c.Type == "table" && strings.HasSuffix(name, "jobs") && !strings.HasSuffix(name, "failed_jobs"):
			return c.Rows[len(c.Rows)-1].Payload
		}
	}
	t.Fatalf("no payload in %v", state)
	return ""
}

func fixture(t *testing.T, file, scenario string) captured {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	var c captured
	if err := json.Unmarshal(all[scenario], &c); err != nil {
		t.Fatalf("%s, %s: %v", file, scenario, err)
	}
	return c
}

// versions are those that were captured.
var versions = map[string]think.Profile{"1.1.2": think.TQ1, "2.0.4": think.TQ1, "3.0.4": think.TQ3Legacy, "3.0.9": think.TQ3}

func format(t *testing.T, version string) *think.Format {
	t.Helper()
	f, err := think.New(&think.Options{Profile: versions[version], Version: version})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// What Go pushes is, byte for byte, what every version of think-queue pushes.
func TestEncodeAsThinkQueueDoes(t *testing.T) {
	for version := range versions {
		for _, store := range []string{"redis", "database"} {
			t.Run(version+"/"+store, func(t *testing.T) {
				f := format(t, version)
				compared := 0
				for _, s := range fixture(t, "v"+version+"-"+store, "push").Steps {
					if s.Given.Data == nil || s.Raised != nil && string(s.Raised) != "null" {
						continue
					}
					want := payload(t, s.State)
					d := &spool.Draft{Name: s.Given.Job, Data: json.RawMessage(*s.Given.Data), UUID: "u-1", CountsInBody: store == "redis"}
					if store == "redis" {
						d.ID = s.Returned.(string)
					} else {
						want = strings.TrimSuffix(want, "}") + `,"uuid":"u-1"}`
					}
					got, err := f.Encode(d)
					if err != nil {
						t.Errorf("%s: %v", s.Step, err)
						continue
					}
					if diff := cmp.Diff(want, string(got)); diff != "" {
						t.Errorf("%s (-think-queue +Go):\n%s", s.Step, diff)
					}
					compared++
				}
				if compared < 20 {
					t.Errorf("only %d payloads were compared", compared)
				}
			})
		}
	}
}

// What PHP refuses to push, Go refuses too.
func TestEncodeRefuses(t *testing.T) {
	deep := strings.Repeat("[", 600) + strings.Repeat("]", 600)
	for name, data := range map[string]any{
		"text that isn't UTF-8":  "\xff",
		"JSON that isn't UTF-8":  json.RawMessage("\"\xff\""),
		"no number":              math.NaN(),
		"nested too deep":        json.RawMessage(deep),
		"half a character":       json.RawMessage(`"\ud83d"`),
		"a number beyond floats": json.RawMessage(`1e999`),
	} {
		if b, err := format(t, "3.0.9").Encode(&spool.Draft{Name: "Job", Data: data, ID: "1", CountsInBody: true}); err == nil {
			t.Errorf("%s: encoded as %.80s", name, b)
		}
	}
	if _, err := format(t, "3.0.9").Encode(&spool.Draft{Name: think.HandlerJob}); err == nil {
		t.Error("an object job was encoded")
	}
	if b, err := format(t, "3.0.9").Encode(&spool.Draft{Name: "Job", Data: "\ufffd é 👍", ID: "1", CountsInBody: true}); err != nil || !strings.Contains(string(b), `"\ufffd \u00e9 \ud83d\udc4d"`) {
		// A replacement character can't be told from what encoding/json makes of
		// invalid text.
		if !errors.Is(err, phpjson.ErrText) {
			t.Errorf("%s, %v", b, err)
		}
	}
}

// What all versions wrote can be read.
func TestDecodeWhatThinkQueueWrote(t *testing.T) {
	for version, profile := range versions {
		for _, s := range fixture(t, "v"+version+"-redis", "push").Steps {
			if len(s.State) == 0 {
				continue
			}
			body := payload(t, s.State)
			p, err := format(t, version).Decode([]byte(body))
			if err != nil {
				t.Errorf("%s %s: %v", version, s.Step, err)
				continue
			}
			first := map[bool]int{true: 1}[profile == think.TQ1]
			if p.Attempts != first || p.ID != s.Returned || p.UUID != p.ID || s.Given.Job != "" && p.Name != s.Given.Job {
				t.Errorf("%s %s: decoded as %+v", version, s.Step, p)
			}
		}
	}
}

func TestObjectsAreForPHP(t *testing.T) {
	for version := range versions {
		for _, store := range []string{"redis", "database"} {
			steps := fixture(t, "v"+version+"-"+store, "object").Steps
			p, err := format(t, version).Decode([]byte(payload(t, steps[0].State)))
			var object *think.ObjectError
			if !errors.As(err, &object) || !errors.Is(err, spool.ErrNotHere) || object.Class != `app\job\ObjJob` {
				t.Fatalf("%s %s: %v", version, store, err)
			}
			if p == nil || p.DisplayName != object.Class || store == "redis" && p.UUID == "" {
				t.Errorf("%s %s: the payload is %+v", version, store, p)
			}
		}
	}
}

func TestPolicyOfAnObject(t *testing.T) {
	for _, s := range fixture(t, "v3.0.9-redis", "object").Steps {
		if s.Step != "object_with_limits" {
			continue
		}
		p, _ := format(t, "3.0.9").Decode([]byte(payload(t, s.State)))
		if p.Policy.Tries == nil || *p.Policy.Tries != 5 || p.Policy.Timeout == nil || *p.Policy.Timeout != 30*time.Second || p.Policy.RetryUntil.Unix() != 1893553445 {
			t.Errorf("policy is %+v", p.Policy)
		}
		return
	}
	t.Error("the fixture has no object with limits")
}
