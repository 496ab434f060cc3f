package think

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/phpjson"
)

// ObjectError is a job that only PHP can run: an object that it has serialized.
// It wraps [spool.ErrNotHere], so a worker puts the job back for PHP.
type ObjectError struct {
	Class string // of the object; empty if the payload doesn't say
}

func (e *ObjectError) Error() string {
	return fmt.Sprintf("a serialized PHP object (%s): %v; give PHP's object jobs a queue that Go doesn't work, or push the job by name", e.Class, spool.ErrNotHere)
}

// Unwrap returns [spool.ErrNotHere].
func (e *ObjectError) Unwrap() error { return spool.ErrNotHere }

// Decode implements [spool.Format]. It reads what any version of think-queue
// wrote, and the keys that [Format.Encode] adds. Numbers may be text. Where the
// payload has an id but no uuid, the id is the job's identity.
//
// An object comes with an [*ObjectError], and a Payload that says what it is.
func (f *Format) Decode(body []byte) (*spool.Payload, error) {
	p, err := spool.Native.Decode(body)
	if err != nil {
		return nil, err
	}
	if p.UUID == "" {
		p.UUID = p.ID
	}
	if p.Job != HandlerJob {
		return p, nil
	}
	var data struct {
		Class string `json:"commandName"`
	}
	_ = json.Unmarshal(p.Data, &data) // it is put back whatever it holds
	if data.Class != "" {
		p.Name, p.DisplayName = data.Class, data.Class
	}
	return p, &ObjectError{Class: data.Class}
}

// renewal is how long a job that is retried may go on if its timeoutAt has
// passed: the payload doesn't say when it was made.
const renewal = 24 * time.Hour

// Retry implements [spool.Format]: attempts become those of a new job, and a
// timeoutAt that has passed is moved to a day from now.
func (f *Format) Retry(body []byte, now time.Time) ([]byte, error) {
	type edit struct {
		at, end int
		text    string
	}
	var edits []edit
	err := phpjson.Fields(body, func(key string, at int, v []byte) error {
		switch key {
		case "attempts":
			edits = append(edits, edit{at, at + len(v), f.first()})
		case "timeoutAt", "retryUntil":
			if n, err := strconv.ParseInt(string(v), 10, 64); err == nil && n != 0 && n <= now.Unix() {
				edits = append(edits, edit{at, at + len(v), strconv.FormatInt(now.Add(renewal).Unix(), 10)})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	out := slices.Clone(body)
	for _, e := range slices.Backward(edits) { // in the order of the text
		out = slices.Replace(out, e.at, e.end, []byte(e.text)...)
	}
	return out, nil
}
