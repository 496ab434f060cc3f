package spool

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spoolq/spool/internal/phpjson"
)

// Retry implements [Format]. A retryUntil (before Laravel 8: timeoutAt) that has
// passed is moved to now plus the span the job had at first; a payload that
// doesn't say when it was made (Laravel before 12) gets the span's only other
// known bound, one day.
func (native) Retry(body []byte, now time.Time) ([]byte, error) {
	type deadline struct {
		edit
		until int64
	}
	var edits []edit
	var deadlines []deadline
	var created int64
	err := phpjson.Fields(body, func(key string, at int, v []byte) error {
		switch key {
		case "attempts":
			edits = append(edits, edit{at, v, "0"})
		case "retryUntil", "timeoutAt":
			_ = number(v, func(n int64) { deadlines = append(deadlines, deadline{edit{at: at, old: v}, n}) })
		case "createdAt":
			_ = number(v, func(n int64) { created = n })
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	for _, d := range deadlines {
		if d.until == 0 || d.until > now.Unix() { // none, or still to come
			continue
		}
		span := int64(24 * 60 * 60)
		if created > 0 && d.until > created {
			span = d.until - created
		}
		d.by = strconv.FormatInt(now.Unix()+span, 10)
		edits = append(edits, d.edit)
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
