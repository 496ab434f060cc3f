package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoolq/spool/internal/phpjson"
)

// Native is the format of jobs that name a handler and carry JSON: Laravel's
// string job, which PHP workers run as "Class@method" and produce with
// Queue::push. It writes the keys of Laravel 13; older versions ignore the
// two that are new to them (createdAt, delay). Its source is the Laravel
// framework's own output for versions 8 to 13.
var Native Format = native{}

type native struct{}

// groupKey is the payload's key of the message group: Spool's own, as Laravel
// keeps it inside the objects of class jobs only.
const groupKey = "messageGroup"

// Encode implements [Format].
func (native) Encode(d *Draft) ([]byte, error) {
	e := envelope{b: make([]byte, 0, 512)}
	display := d.DisplayName
	if display == "" {
		display, _, _ = strings.Cut(d.Name, "@")
	}
	e.extra = d.Extra
	e.str("uuid", d.UUID)
	e.str("displayName", display)
	e.str("job", d.Name)
	e.policy(d.Policy)
	e.val("data", d.Data)
	e.num("createdAt", d.Created.Unix())
	if d.CountsInBody {
		e.str("id", d.ID)
		e.num("attempts", 0)
	}
	if d.Delay > 0 {
		e.num("delay", seconds(d.Delay))
	} else {
		e.raw("delay", "null")
	}
	for _, k := range sortedKeys(d.Extra) {
		if !slices.Contains(e.written, k) && k != "id" && k != "attempts" {
			e.extra = nil
			e.val(k, d.Extra[k])
		}
	}
	if e.err != nil {
		return nil, fmt.Errorf("encode %q: %w", e.key, e.err)
	}
	return append(e.b, '}'), nil
}

// envelope builds the JSON object key by key and remembers the first error.
type envelope struct {
	b   []byte
	key string
	err error
	// extra replaces keys that are written; written lists those of its keys.
	extra   map[string]any
	written []string
}

// replaced writes the key from extra if it is there.
func (e *envelope) replaced(key string) bool {
	v, ok := e.extra[key]
	if ok && key != "id" && key != "attempts" && !slices.Contains(e.written, key) {
		e.written = append(e.written, key)
		e.val(key, v)
		return true
	}
	return false
}

func (e *envelope) name(key string) {
	if e.err == nil {
		e.key = key
	}
	if len(e.b) == 0 {
		e.b = append(e.b, '{')
	} else {
		e.b = append(e.b, ',')
	}
	e.b, _ = phpjson.AppendString(e.b, key)
	e.b = append(e.b, ':')
}

func (e *envelope) raw(key, json string) {
	if !e.replaced(key) {
		e.name(key)
		e.b = append(e.b, json...)
	}
}

func (e *envelope) num(key string, n int64) {
	if !e.replaced(key) {
		e.name(key)
		e.b = strconv.AppendInt(e.b, n, 10)
	}
}

func (e *envelope) str(key, s string) {
	if e.replaced(key) {
		return
	}
	e.name(key)
	b, err := phpjson.AppendString(e.b, s)
	e.b = b
	e.keep(err)
}

func (e *envelope) val(key string, v any) {
	if e.replaced(key) {
		return
	}
	e.name(key)
	b, err := phpjson.Append(e.b, v)
	e.b = b
	e.keep(err)
}

func (e *envelope) keep(err error) {
	if e.err == nil {
		e.err = err
	}
}

// policy writes the five keys that every string job has, and retryUntil only
// where there is one, as Laravel leaves it out of string jobs.
func (e *envelope) policy(p Policy) {
	if p.Tries != nil {
		e.num("maxTries", int64(*p.Tries))
	} else {
		e.raw("maxTries", "null")
	}
	if p.MaxExceptions > 0 {
		e.num("maxExceptions", int64(p.MaxExceptions))
	} else {
		e.raw("maxExceptions", "null")
	}
	e.raw("failOnTimeout", strconv.FormatBool(p.FailOnTimeout))
	if p.Backoff != nil {
		e.str("backoff", BackoffText(p.Backoff))
	} else {
		e.raw("backoff", "null")
	}
	if p.Timeout != nil {
		e.num("timeout", seconds(*p.Timeout))
	} else {
		e.raw("timeout", "null")
	}
	if !p.RetryUntil.IsZero() {
		e.num("retryUntil", p.RetryUntil.Unix())
	}
}

// BackoffText renders waits as payloads carry them: whole seconds, rounded
// up, joined by commas.
func BackoffText(ds []time.Duration) string {
	var b []byte
	for i, d := range ds {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, seconds(d), 10)
	}
	return string(b)
}

// seconds rounds up to whole seconds, the wire's unit.
func seconds(d time.Duration) int64 {
	n := int64(max(d, 0) / time.Second)
	if d%time.Second > 0 {
		n++
	}
	return n
}

// duration is the inverse of seconds; what is out of range is as near to it as
// a Duration gets.
func duration(n int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Second)
	return time.Duration(min(max(n, -most), most)) * time.Second
}

// moment reads a Unix time; 0 is none, as in PHP.
func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// Decode implements [Format]. It is lenient where Redis has rewritten the
// payload (lua-cjson) and about numbers given as text.
func (native) Decode(body []byte) (*Payload, error) {
	p := &Payload{}
	var legacy legacyKeys
	err := phpjson.Fields(body, func(key string, _ int, v []byte) error {
		if err := p.field(key, v, &legacy); err != nil {
			return fmt.Errorf("payload key %q: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	if p.Job == "" {
		return nil, errors.New(`payload: no "job" names what to run`)
	}
	legacy.apply(p)
	p.Name = p.Job
	if p.DisplayName == "" {
		p.DisplayName = p.Job
	}
	return p, nil
}

// legacyKeys are read only when the newer key is absent. Laravel reads "delay"
// as a backoff in every version; since 12 it is the delay of the dispatch,
// told apart by the "createdAt" that came with it.
type legacyKeys struct {
	timeoutAt  time.Time
	delay      []time.Duration
	hasBackoff bool
}

func (l *legacyKeys) apply(p *Payload) {
	if p.Policy.RetryUntil.IsZero() {
		p.Policy.RetryUntil = l.timeoutAt
	}
	switch {
	case !p.Created.IsZero():
		if len(l.delay) > 0 {
			p.Delay = l.delay[0]
		}
	case !l.hasBackoff:
		p.Policy.Backoff = l.delay
	}
}

func (p *Payload) field(key string, v []byte, l *legacyKeys) (err error) {
	pol := &p.Policy
	switch key {
	case "uuid":
		p.UUID, err = text(v)
	case "displayName":
		p.DisplayName, err = text(v)
	case "job":
		if p.Job = p.DisplayName; !isText(v, p.Job) { // mostly the same: one string will do
			p.Job, err = text(v)
		}
	case "data":
		p.Data = v
	case "id":
		p.ID, err = text(v)
	case "attempts":
		err = number(v, func(n int64) { p.Attempts = int(n) })
	case "maxTries":
		err = number(v, func(n int64) { pol.Tries = new(int(n)) })
	case "maxExceptions":
		// Laravel's count is at least 1 when it is compared with this.
		err = number(v, func(n int64) { pol.MaxExceptions = int(max(n, 1)) })
	case "failOnTimeout":
		pol.FailOnTimeout = truthy(v)
	case "timeout":
		err = number(v, func(n int64) { pol.Timeout = new(duration(n)) })
	case "retryUntil":
		err = number(v, func(n int64) { pol.RetryUntil = moment(n) })
	case "timeoutAt":
		err = number(v, func(n int64) { l.timeoutAt = moment(n) })
	case "backoff":
		pol.Backoff, err = waits(v)
		l.hasBackoff = pol.Backoff != nil
	case "delay":
		l.delay, err = waits(v)
	case groupKey:
		p.Group, err = text(v)
	case chainKey:
		p.chain = object(v)
	case caughtKey:
		p.caught = object(v)
	case uniqueField:
		p.Unique = claim(v)
	case debouncedField:
		p.Debounced = claim(v)
	case batchKey:
		p.BatchID, err = text(v)
	case batchEventKey:
		var event string
		event, err = text(v)
		p.BatchEvent = BatchEvent(event)
	case batchClaimKey:
		err = number(v, func(n int64) { p.BatchClaim = int(n) })
	case "createdAt":
		err = number(v, func(n int64) { p.Created = moment(n) })
	}
	return err
}

// object returns v if it is an object, else nil.
func object(v []byte) json.RawMessage {
	if len(v) > 0 && v[0] == '{' {
		return v
	}
	return nil
}

// truthy reads a flag the way PHP does.
func truthy(v []byte) bool {
	switch string(v) {
	case "", "false", "null", "0", `"0"`, `""`, "[]", "{}", "0.0":
		return false
	}
	return true
}

// text reads a string, or a number as its text; null is "".
func text(v []byte) (string, error) {
	switch {
	case v[0] == 'n':
		return "", nil
	case v[0] == '"':
		if !containsEscape(v) {
			return string(v[1 : len(v)-1]), nil
		}
		var s string
		err := json.Unmarshal(v, &s)
		return s, err
	case v[0] == '-' || v[0] >= '0' && v[0] <= '9':
		return string(v), nil
	}
	return "", fmt.Errorf("want a string, have %.40s", v)
}

// isText says whether v is the plain JSON string of s.
func isText(v []byte, s string) bool {
	return len(v) == len(s)+2 && v[0] == '"' && string(v[1:len(v)-1]) == s && !containsEscape(v)
}

func containsEscape(v []byte) bool {
	for _, c := range v {
		if c == '\\' {
			return true
		}
	}
	return false
}

// number reads an integer, also as a float (cjson) or text, and passes it to
// set; null is nothing.
func number(v []byte, set func(int64)) error {
	if n, plain := digits(v); plain {
		set(n)
		return nil
	}
	s, err := text(v)
	if err != nil || s == "" {
		return err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || math.IsNaN(f) || math.Abs(f) >= 1<<62 {
			return fmt.Errorf("want a number, have %.40s", v)
		}
		n = int64(f)
	}
	set(n)
	return nil
}

// digits reads the usual form of a number.
func digits(v []byte) (n int64, ok bool) {
	if len(v) == 0 || len(v) > 18 {
		return 0, false
	}
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}

// waits reads a backoff: a number of seconds, text such as "1,5,10", or a list.
func waits(v []byte) ([]time.Duration, error) {
	if string(v) == "null" || len(v) == 2 && v[0] != '"' { // null, [], {}
		if len(v) == 2 && v[0] >= '0' && v[0] <= '9' {
			return secondsList(string(v))
		}
		return nil, nil
	}
	if v[0] == '[' {
		var list []json.Number
		if err := json.Unmarshal(v, &list); err != nil {
			return nil, fmt.Errorf("want seconds, have %.40s", v)
		}
		parts := make([]string, len(list))
		for i, n := range list {
			parts[i] = n.String()
		}
		return secondsList(strings.Join(parts, ","))
	}
	s, err := text(v)
	if err != nil || s == "" {
		return nil, err
	}
	return secondsList(s)
}

func secondsList(s string) ([]time.Duration, error) {
	var ds []time.Duration
	for part := range strings.SplitSeq(s, ",") {
		f, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || math.IsNaN(f) {
			return nil, fmt.Errorf("want seconds, have %q", s)
		}
		ds = append(ds, duration(int64(min(max(f, 0), 1<<53))))
	}
	return ds, nil
}
