package spool

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spoolq/spool/internal/phpjson"
)

// Retry implements [Format]. A retryUntil that has passed is moved to now plus
// the span the job had at first; a payload that doesn't say when it was made
// (Laravel before 12) gets the span's only other known bound, one day.
func (native) Retry(body []byte, now time.Time) ([]byte, error) {
	var edits []edit
	var until, created int64
	var untilAt int
	var untilOld []byte
	err := phpjson.Fields(body, func(key string, at int, v []byte) error {
		switch key {
		case "attempts":
			edits = append(edits, edit{at, v, "0"})
		case "retryUntil":
			if ok, _ := number(v, func(n int64) { until = n }); ok {
				untilAt, untilOld = at, v
			}
		case "createdAt":
			_, _ = number(v, func(n int64) { created = n })
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	if untilOld != nil && until <= now.Unix() {
		span := int64(24 * 60 * 60)
		if created > 0 && until > created {
			span = until - created
		}
		edits = append(edits, edit{untilAt, untilOld, strconv.FormatInt(now.Unix()+span, 10)})
	}
	return apply(body, edits), nil
}

// edit replaces old, which stands at offset at of a body.
type edit struct {
	at  int
	old []byte
	by  string
}

// apply returns a copy of body with the edits made; all other bytes stay.
func apply(body []byte, edits []edit) []byte {
	slices.SortFunc(edits, func(a, b edit) int { return a.at - b.at })
	out := make([]byte, 0, len(body)+16)
	pos := 0
	for _, e := range edits {
		out = append(out, body[pos:e.at]...)
		out = append(out, e.by...)
		pos = e.at + len(e.old)
	}
	return append(out, body[pos:]...)
}

func sortedKeys(m map[string]any) []string {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}
