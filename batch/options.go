package batch

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/laravel/phpserial"
)

// The keys of the array that Laravel serializes into the column options; the
// last is Spool's.
const (
	keyConnection    = "connection"
	keyQueue         = "queue"
	keyAllowFailures = "allowFailures"
	keySpool         = "spool"
)

// phpEvents are the keys under which Laravel keeps callbacks.
var phpEvents = []spool.BatchEvent{spool.BatchProgress, spool.BatchThen, spool.BatchCatch, spool.BatchFinally}

// callback is a callback of Go's, as it is stored.
type callback struct {
	Event      spool.BatchEvent `json:"event"`
	UUID       string           `json:"uuid"`
	Connection string           `json:"connection,omitempty"`
	Queue      string           `json:"queue,omitempty"`
	Delay      int64            `json:"delay,omitempty"` // seconds
	Body       string           `json:"body"`
}

// EncodeCallbacks returns callbacks as text, for a store; [DecodeCallbacks]
// reads it.
func EncodeCallbacks(cs []spool.BatchCallback) (string, error) {
	list := make([]callback, len(cs))
	for i, c := range cs {
		list[i] = callback{c.Event, c.UUID, c.Connection, c.Queue, int64((c.Delay + time.Second - 1) / time.Second), string(c.Body)}
	}
	b, err := json.Marshal(list)
	return string(b), err
}

// DecodeCallbacks reads what [EncodeCallbacks] wrote.
func DecodeCallbacks(text string) ([]spool.BatchCallback, error) {
	var list []callback
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("callbacks of a batch: %w", err)
	}
	cs := make([]spool.BatchCallback, len(list))
	for i, c := range list {
		cs[i] = spool.BatchCallback{
			Event: c.Event, UUID: c.UUID, Connection: c.Connection, Queue: c.Queue,
			Delay: time.Duration(c.Delay) * time.Second, Body: []byte(c.Body),
		}
	}
	return cs, nil
}

// encodeOptions returns the column options, which PHP reads too. armored is for
// PostgreSQL, where Laravel keeps it in base64.
func encodeOptions(o *spool.BatchOptions, armored bool) (string, error) {
	var a phpserial.Array
	if o.AllowFailures {
		a.Set(phpserial.StrKey(keyAllowFailures), true)
	}
	if o.Connection != "" {
		a.Set(phpserial.StrKey(keyConnection), o.Connection)
	}
	if o.Queue != "" {
		a.Set(phpserial.StrKey(keyQueue), o.Queue)
	}
	if len(o.Callbacks) > 0 {
		text, err := EncodeCallbacks(o.Callbacks)
		if err != nil {
			return "", err
		}
		a.Set(phpserial.StrKey(keySpool), text)
	}
	s, err := phpserial.Encode(&a)
	if err == nil && armored {
		s = base64.StdEncoding.EncodeToString([]byte(s))
	}
	return s, err
}

// decodeOptions reads the column options, whoever wrote it.
func decodeOptions(text string, armored bool) (o spool.BatchOptions, err error) {
	if text == "" {
		return o, nil
	}
	if armored && !strings.ContainsAny(text, ":;") {
		plain, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return o, fmt.Errorf("options of a batch: %w", err)
		}
		text = string(plain)
	}
	v, err := phpserial.Decode(text, nil)
	if err != nil {
		return o, fmt.Errorf("options of a batch: %w", err)
	}
	a, ok := v.(*phpserial.Array)
	if !ok {
		return o, fmt.Errorf("options of a batch: not an array")
	}
	get := func(key string) any {
		v, _ := a.Get(phpserial.StrKey(key))
		return phpserial.Resolve(v)
	}
	o.Connection, _ = get(keyConnection).(string)
	o.Queue, _ = get(keyQueue).(string)
	o.AllowFailures, _ = get(keyAllowFailures).(bool)
	for _, e := range phpEvents {
		if list, ok := get(string(e)).(*phpserial.Array); ok && len(list.Entries) > 0 {
			o.PHP = append(o.PHP, e)
		}
	}
	if text, ok := get(keySpool).(string); ok {
		o.Callbacks, err = DecodeCallbacks(text)
	}
	return o, err
}
