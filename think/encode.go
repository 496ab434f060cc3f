package think

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spoolq/spool"
)

// Encode implements [spool.Format]. It writes the keys of the profile in
// think-queue's order and style. What the profile has no key for comes behind
// them, only if it is set; PHP keeps those keys and doesn't look at them:
// maxTries, timeout and timeoutAt where the profile lacks them, maxExceptions,
// failOnTimeout, backoff, displayName, and d.Extra.
//
// A payload that carries an id is known by it: it becomes d.UUID. One without
// (tables) gets the key uuid.
func (f *Format) Encode(d *spool.Draft) ([]byte, error) {
	switch {
	case d.Name == "":
		return nil, errors.New("think: a job needs a name")
	case d.Name == HandlerJob:
		return nil, errors.New("think: objects can't be pushed: only PHP can serialize them; push a job by name")
	}
	w := &writer{extra: d.Extra, style: style{arrays: f.profile == TQ1 && d.CountsInBody}}
	w.put("job", d.Name)
	if f.profile == TQ1 {
		w.put("data", d.Data)
	} else {
		w.put("maxTries", tries(d.Policy))
		w.put("timeout", timeout(d.Policy))
		if !d.Policy.RetryUntil.IsZero() {
			w.put("timeoutAt", d.Policy.RetryUntil.Unix())
		}
		w.put("data", d.Data)
	}
	if d.CountsInBody {
		d.UUID = d.ID
		w.own("id", d.ID)
		w.own("attempts", json.RawMessage(f.first()))
	} else {
		w.put("uuid", d.UUID)
	}
	f.further(w, d)
	if w.err != nil {
		return nil, fmt.Errorf("think: encode %q: %w", w.key, w.err)
	}
	return append(w.b, '}'), nil
}

// further writes what think-queue has no key for.
func (f *Format) further(w *writer, d *spool.Draft) {
	p := d.Policy
	if f.profile == TQ1 {
		if p.Tries != nil {
			w.put("maxTries", *p.Tries)
		}
		if p.Timeout != nil {
			w.put("timeout", timeout(p))
		}
		if !p.RetryUntil.IsZero() {
			w.put("timeoutAt", p.RetryUntil.Unix())
		}
	}
	if p.MaxExceptions > 0 {
		w.put("maxExceptions", p.MaxExceptions)
	}
	if p.FailOnTimeout {
		w.put("failOnTimeout", true)
	}
	if p.Backoff != nil {
		w.put("backoff", spool.BackoffText(p.Backoff))
	}
	if d.DisplayName != "" {
		w.put("displayName", d.DisplayName)
	}
	for _, k := range slices.Sorted(maps.Keys(d.Extra)) {
		if !w.done[k] && k != "id" && k != "attempts" {
			w.put(k, nil)
		}
	}
}

func tries(p spool.Policy) any {
	if p.Tries == nil {
		return nil
	}
	return *p.Tries
}

// timeout is in whole seconds, rounded up.
func timeout(p spool.Policy) any {
	if p.Timeout == nil {
		return nil
	}
	return int64((max(*p.Timeout, 0) + time.Second - 1) / time.Second)
}

// writer builds the JSON object key by key and remembers the first error. A key
// that extra holds takes its value from there.
type writer struct {
	b     []byte
	style style
	extra map[string]any
	done  map[string]bool
	key   string
	err   error
}

func (w *writer) put(key string, v any) {
	if x, ok := w.extra[key]; ok {
		v = x
	}
	w.own(key, v)
}

// own is put for keys that belong to the store.
func (w *writer) own(key string, v any) {
	if w.err != nil {
		return
	}
	if w.done == nil {
		w.done = map[string]bool{}
		w.b = append(make([]byte, 0, 256), '{')
	} else {
		w.b = append(w.b, ',')
	}
	w.done[key], w.key = true, key
	w.b = append(appendText(w.b, strings.ToValidUTF8(key, "\ufffd")), ':')
	w.b, w.err = w.style.value(w.b, v)
}
