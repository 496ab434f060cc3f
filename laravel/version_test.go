package laravel_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/laravel"
)

// versionPayload is a payload as the versions from first to last write it.
// "#" is a NUL, as JSON has it.
type versionPayload struct {
	name        string
	first, last int
	draft       func() *spool.Draft
	payload     string
}

const (
	versionHead  = `{"uuid":"` + testUUID + `","displayName":"App\\Jobs\\Simple","job":"Illuminate\\Queue\\CallQueuedHandler@call","maxTries":null,"maxExceptions":null,"failOnTimeout":false,"backoff":null,"timeout":null,"retryUntil":null,`
	sparse       = `O:15:\"App\\Jobs\\Simple\":2:{s:2:\"id\";i:7;s:7:\"#*#name\";s:3:\"中\";}`
	redisKeys    = `,"id":"ZZBgRObDJhib1YUgPGAklgFyF4NkejVV","attempts":0`
	stringHead   = `{"uuid":"` + testUUID + `","displayName":"App\\Jobs\\Legacy","job":"App\\Jobs\\Legacy@run","maxTries":null,"maxExceptions":null,"failOnTimeout":false,"backoff":null,"timeout":null,"data":{"k":"中文\/x","e":[]}`
	versionBatch = "9a3b1c2d-0000-4000-8000-000000000001"
	horizonKeys  = `,"pushedAt":"1795174105.1234","silenced":false,"tags":["App\\Models\\User:1"],"type":"job"`
)

func simpleDraft() *spool.Draft {
	return &spool.Draft{
		Data: laravel.NewCommand(`App\Jobs\Simple`, laravel.Public("id", 7), laravel.Protected("name", "中")),
		ID:   "ZZBgRObDJhib1YUgPGAklgFyF4NkejVV", CountsInBody: true,
	}
}

func batchDraft() *spool.Draft {
	d := simpleDraft()
	d.Data.(*laravel.Command).InBatch(versionBatch)
	return d
}

func delayedDraft() *spool.Draft {
	d := simpleDraft()
	d.Delay = 30 * time.Second
	return d
}

func stringDraft() *spool.Draft {
	return &spool.Draft{Name: `App\Jobs\Legacy@run`, Data: json.RawMessage(`{"k":"中文/x","e":[]}`), ID: "ZZBgRObDJhib1YUgPGAklgFyF4NkejVV", CountsInBody: true}
}

func rowDraft() *spool.Draft { // not on Redis
	d := simpleDraft()
	d.ID, d.CountsInBody = "", false
	return d
}

// horizonDraft has the keys of Horizon, and the log context from 11 on.
func horizonDraft(context bool) func() *spool.Draft {
	return func() *spool.Draft {
		d := simpleDraft()
		d.Extra = map[string]any{"type": "job", "tags": []string{`App\Models\User:1`}, "silenced": false, "pushedAt": "1795174105.1234"}
		if context {
			d.Extra["illuminate:log:context"] = json.RawMessage(`{"data":{"trace":"s:1:\"x\";"},"hidden":[]}`)
		}
		return d
	}
}

// versionPayloads are what an application of each version stores: the head is
// the same everywhere, the object is sparse since 9, and 12 and 13 add keys.
func versionPayloads() []versionPayload {
	const (
		data    = `"data":{"commandName":"App\\Jobs\\Simple","command":"` + sparse + `"`
		inBatch = `"data":{"commandName":"App\\Jobs\\Simple","command":"O:15:\"App\\Jobs\\Simple\":3:{s:2:\"id\";i:7;s:7:\"#*#name\";s:3:\"中\";s:7:\"batchId\";s:36:\"` + versionBatch + `\";}"`
		created = `,"createdAt":1795174122`
		context = `,"illuminate:log:context":{"data":{"trace":"s:1:\"x\";"},"hidden":[]}`
		drop    = `"deleteWhenMissingModels":false,`
	)
	return []versionPayload{
		{"class", 8, 11, simpleDraft, versionHead + data + `}` + redisKeys + `}`},
		{"class", 12, 12, simpleDraft, versionHead + data + `,"batchId":null}` + created + redisKeys + `,"delay":null}`},
		{"class", 13, 13, simpleDraft, versionHead + drop + data + `,"batchId":null}` + created + redisKeys + `,"delay":null}`},
		{"class in a row", 8, 11, rowDraft, versionHead + data + `}}`},
		{"class in a row", 13, 13, rowDraft, versionHead + drop + data + `,"batchId":null}` + created + `,"delay":null}`},
		{"batch", 8, 11, batchDraft, versionHead + inBatch + `}` + redisKeys + `}`},
		{"batch", 12, 12, batchDraft, versionHead + inBatch + `,"batchId":"` + versionBatch + `"}` + created + redisKeys + `,"delay":null}`},
		{"batch", 13, 13, batchDraft, versionHead + drop + inBatch + `,"batchId":"` + versionBatch + `"}` + created + redisKeys + `,"delay":null}`},
		{"delayed", 8, 11, delayedDraft, versionHead + data + `}` + redisKeys + `}`},
		{"delayed", 12, 12, delayedDraft, versionHead + data + `,"batchId":null}` + created + redisKeys + `,"delay":30}`},
		{"delayed", 13, 13, delayedDraft, versionHead + drop + data + `,"batchId":null}` + created + redisKeys + `,"delay":30}`},
		{"string", 8, 11, stringDraft, stringHead + redisKeys + `}`},
		{"string", 12, 13, stringDraft, stringHead + created + redisKeys + `,"delay":null}`},
		{"with Horizon", 8, 10, horizonDraft(false), versionHead + data + `}` + horizonKeys + redisKeys + `}`},
		{"with Horizon and a log context", 11, 11, horizonDraft(true), versionHead + data + `}` + context + horizonKeys + redisKeys + `}`},
		{"with Horizon and a log context", 13, 13, horizonDraft(true), versionHead + drop + data + `,"batchId":null}` + created + context + horizonKeys + redisKeys + `,"delay":null}`},
	}
}

func TestPayloadsOfEveryVersion(t *testing.T) {
	written := map[int]bool{}
	for _, tt := range versionPayloads() {
		for version := tt.first; version <= tt.last; version++ {
			written[version] = true
			t.Run(fmt.Sprintf("%s of %d", tt.name, version), func(t *testing.T) {
				want := strings.ReplaceAll(tt.payload, "#", `\u0000`)
				f := newFormat(t, &laravel.Options{Version: version})
				d := tt.draft()
				d.UUID, d.Created = testUUID, time.Unix(1795174122, 0)
				got, err := f.Encode(d)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, string(got)); diff != "" {
					t.Errorf("written (-want +got)\n%s", diff)
				}
				// Whatever version is configured reads all of them.
				for reader := laravel.MinVersion; reader <= laravel.MaxVersion; reader++ {
					reads(t, newFormat(t, &laravel.Options{Version: reader}), tt, want)
				}
			})
		}
	}
	for v := laravel.MinVersion; v <= laravel.MaxVersion; v++ {
		if !written[v] {
			t.Errorf("version %d has no payload", v)
		}
	}
}

func reads(t *testing.T, f *laravel.Format, tt versionPayload, payload string) {
	t.Helper()
	p, err := f.Decode([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	if p.UUID != testUUID || p.Created.IsZero() != (tt.last < 12) || (p.Delay == 30*time.Second) != (tt.name == "delayed" && tt.last >= 12) || p.Policy.Backoff != nil {
		t.Errorf("decoded as %+v", p)
	}
	if tt.name == "string" {
		if p.Name != `App\Jobs\Legacy@run` || string(p.Data) != `{"k":"中文\/x","e":[]}` {
			t.Errorf("decoded as %q with %s", p.Name, p.Data)
		}
		return
	}
	var job struct {
		ID   int
		Name string
	}
	if err := p.Into(&job); err != nil || job.ID != 7 || job.Name != "中" || p.Name != `App\Jobs\Simple` {
		t.Errorf("decoded as %q with %+v, %v", p.Name, job, err)
	}
	cmd, err := laravel.CommandOf(p)
	if err != nil || (cmd.BatchID() == versionBatch) != (tt.name == "batch") {
		t.Errorf("batch %q, %v", cmd.BatchID(), err)
	}
}
