package think_test

import (
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/think"
)

func TestShapeOf(t *testing.T) {
	for version, profile := range versions {
		for _, store := range []string{"redis", "database"} {
			for _, s := range fixture(t, "v"+version+"-"+store, "push").Steps {
				if s.Raised != nil || len(s.State) == 0 {
					continue
				}
				if body := payload(t, s.State); think.ShapeOf([]byte(body)) != profile.Shape() {
					t.Errorf("%s, %s: %s is taken for %q", version, s.Step, body, think.ShapeOf([]byte(body)))
				}
			}
		}
		d := &spool.Draft{Name: "J", ID: "x", CountsInBody: true, Policy: spool.Policy{Tries: new(3), Backoff: []time.Duration{1}}}
		if b, err := format(t, version).Encode(d); err != nil || think.ShapeOf(b) != profile.Shape() {
			t.Errorf("%s: our own %s is taken for %q, %v", version, b, think.ShapeOf(b), err)
		}
	}
	b, err := spool.Native.Encode(&spool.Draft{UUID: "u", Name: "J", ID: "x", CountsInBody: true})
	if err != nil || think.ShapeOf(b) != think.ShapeLaravel {
		t.Errorf("%s is taken for %q, %v", b, think.ShapeOf(b), err)
	}
	for _, body := range []string{"", "x", "[]", "{}", `{"job":"J"}`, `{"id":1,"job":"J","data":1}`, `{"job":"J","data":1,"displayName":"J","maxTries":null}`} {
		if got := think.ShapeOf([]byte(body)); got != think.ShapeUnknown {
			t.Errorf("%s is taken for %s", body, got)
		}
	}
}
