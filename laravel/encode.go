package laravel

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/phpjson"
)

// envelope writes the keys of a payload in Laravel's order. A key that the
// draft's Extra holds takes its value from there.
type envelope struct {
	b     []byte
	extra map[string]any
	done  map[string]bool // keys of extra that were written
	err   error
}

func newEnvelope(d *spool.Draft) *envelope {
	e := &envelope{b: make([]byte, 0, 512), extra: d.Extra}
	if len(d.Extra) > 0 {
		e.done = make(map[string]bool)
	}
	return e
}

func (e *envelope) put(key string, v any) {
	if x, ok := e.extra[key]; ok {
		e.done[key] = true
		v = x
	}
	e.name(key)
	var err error
	switch v := v.(type) {
	case nil:
		e.b = append(e.b, "null"...)
	case bool:
		e.b = strconv.AppendBool(e.b, v)
	case int64:
		e.b = strconv.AppendInt(e.b, v, 10)
	case string:
		e.b, err = phpjson.AppendString(e.b, v)
	default:
		e.b, err = phpjson.Append(e.b, v)
	}
	e.keep(key, err)
}

func (e *envelope) name(key string) {
	if len(e.b) == 0 {
		e.b = append(e.b, '{')
	} else {
		e.b = append(e.b, ',')
	}
	var err error
	e.b, err = phpjson.AppendString(e.b, key)
	e.keep(key, err)
	e.b = append(e.b, ':')
}

func (e *envelope) keep(key string, err error) {
	if e.err == nil && err != nil {
		e.err = fmt.Errorf("laravel: encode %q: %w", key, err)
	}
}

// head writes what every job begins with.
func (e *envelope) head(d *spool.Draft, display, job string) {
	e.put("uuid", d.UUID)
	e.put("displayName", display)
	e.put("job", job)
	p := d.Policy
	e.put("maxTries", integer(p.Tries))
	if p.MaxExceptions > 0 {
		e.put("maxExceptions", int64(p.MaxExceptions))
	} else {
		e.put("maxExceptions", nil)
	}
	e.put("failOnTimeout", p.FailOnTimeout)
	if p.Backoff != nil {
		e.put("backoff", spool.BackoffText(p.Backoff))
	} else {
		e.put("backoff", nil)
	}
	if p.Timeout != nil {
		e.put("timeout", seconds(*p.Timeout))
	} else {
		e.put("timeout", nil)
	}
}

func integer(n *int) any {
	if n == nil {
		return nil
	}
	return int64(*n)
}

// seconds rounds up to whole seconds, the wire's unit.
func seconds(d time.Duration) int64 {
	return int64((max(d, 0) + time.Second - 1) / time.Second)
}

// tail writes what every job ends with: createdAt and delay since Laravel 12,
// the keys of hooks before id and attempts, which belong to the store.
func (e *envelope) tail(d *spool.Draft, version int) ([]byte, error) {
	if version >= 12 {
		e.put("createdAt", d.Created.Unix())
	}
	last := map[string]bool{"id": d.CountsInBody, "attempts": d.CountsInBody, "delay": version >= 12}
	for _, k := range slices.Sorted(maps.Keys(e.extra)) {
		if !e.done[k] && !last[k] {
			e.put(k, nil)
		}
	}
	if d.CountsInBody {
		e.name("id")
		var err error
		e.b, err = phpjson.AppendString(e.b, d.ID)
		e.keep("id", err)
		e.name("attempts")
		e.b = append(e.b, '0')
	}
	switch {
	case version < 12:
	case d.Delay > 0:
		e.put("delay", seconds(d.Delay))
	default:
		e.put("delay", nil)
	}
	return append(e.b, '}'), e.err
}

// encodeString writes a string job of Laravel before 12.
func (f *Format) encodeString(d *spool.Draft) ([]byte, error) {
	e := newEnvelope(d)
	display := d.DisplayName
	if display == "" {
		display, _, _ = strings.Cut(d.Name, "@")
	}
	e.head(d, display, d.Name)
	if !d.Policy.RetryUntil.IsZero() {
		e.put("retryUntil", d.Policy.RetryUntil.Unix())
	}
	e.put("data", d.Data)
	return e.tail(d, f.version)
}

func (f *Format) encodeClass(d *spool.Draft, c *Command) ([]byte, error) {
	command, err := f.claimed(d, c).Serialize()
	if err != nil {
		return nil, err
	}
	if c.Encrypt {
		if command, err = f.encrypt(c.Class, command); err != nil {
			return nil, err
		}
	}
	e := newEnvelope(d)
	display := d.DisplayName
	if display == "" {
		display = c.displayName()
	}
	e.head(d, display, HandlerJob)
	if d.Policy.RetryUntil.IsZero() {
		e.put("retryUntil", nil)
	} else {
		e.put("retryUntil", d.Policy.RetryUntil.Unix())
	}
	if f.version >= 13 {
		e.put("deleteWhenMissingModels", c.DeleteWhenMissingModels)
	}
	data := &envelope{}
	data.put("commandName", c.Class)
	data.put("command", command)
	if f.version >= 12 {
		if id := c.BatchID(); id != "" {
			data.put("batchId", id)
		} else {
			data.put("batchId", nil)
		}
	}
	if data.err != nil {
		return nil, data.err
	}
	e.name("data")
	e.b = append(append(e.b, data.b...), '}')
	return e.tail(d, f.version)
}

// claimed returns the command with the owners of the draft's claims, which
// Laravel 13 keeps in the object; c stays as it is.
func (f *Format) claimed(d *spool.Draft, c *Command) *Command {
	if f.version < 13 || d.Unique == nil && d.Debounced == nil {
		return c
	}
	o := *c.Object
	o.Props = slices.Clone(o.Props)
	c = &Command{Object: &o}
	if d.Unique != nil {
		c.set("uniqueLockOwner", d.Unique.Owner, false)
	}
	if d.Debounced != nil {
		c.set("debounceOwner", d.Debounced.Owner, false)
	}
	return c
}

// encrypt returns the command as an encrypted job carries it: serialized once
// more, then encrypted.
func (f *Format) encrypt(class, command string) (string, error) {
	if f.crypt == nil {
		return "", &KeyError{Class: class, Setting: "APP_KEY", Reason: "it is not set"}
	}
	return f.crypt.encrypt(`s:` + strconv.Itoa(len(command)) + `:"` + command + `";`)
}

// MarshalJSON refuses: a Command in a format other than this package's would
// store a job that no PHP worker can read.
func (c Command) MarshalJSON() ([]byte, error) {
	return nil, fmt.Errorf("laravel: a Command (%s) needs a connection with the laravel format", c.JobName())
}

var _ json.Marshaler = Command{}
