package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/spoolq/spool"
)

// reminder is the job of every contestant, about 100 bytes as JSON.
type reminder struct {
	UserID  int64  `json:"user_id"`
	Email   string `json:"email"`
	Subject string `json:"subject"`
	Lang    string `json:"lang"`
}

// first is the number of job 0: numbers of equal length, so that all payloads
// are of equal size.
const first = 100_000_000_000

func newReminder(i int) reminder {
	return reminder{UserID: int64(first + i), Email: "ada.lovelace@example.org", Subject: "Your invoice is due tomorrow", Lang: "en"}
}

// index undoes newReminder.
func (r reminder) index() int { return int(r.UserID - first) }

// envelope is Spool's stored form of a reminder, cut where a job's number goes,
// so that raw stores get bodies of the same bytes for the price of a copy.
type envelope struct{ parts []string }

// number stands in the template where each job has its own.
const number = "777777777777"

func newEnvelope(s *store) (*envelope, error) {
	user, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return nil, err
	}
	d := &spool.Draft{
		UUID: "e385264f-0000-4000-8000-" + number, Name: "reminder", Data: newReminder(int(user)),
		Created: time.Now(), CountsInBody: s.family == redisStore,
	}
	if d.CountsInBody {
		d.ID = "vtobBStmVoDyG2UdqhVO" + number
	}
	body, err := spool.Native.Encode(d)
	if err != nil {
		return nil, err
	}
	return &envelope{strings.Split(string(body), number)}, nil
}

// body returns the stored form of job i.
func (e *envelope) body(i int) string {
	return strings.Join(e.parts, strconv.Itoa(first+i))
}

// bodies returns those of jobs from … from+n-1.
func (e *envelope) bodies(from, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = e.body(from + i)
	}
	return all
}

// sizes are the lengths of a job's data and of its stored body.
func sizes(s *store) (data, body int, err error) {
	e, err := newEnvelope(s)
	if err != nil {
		return 0, 0, err
	}
	b, err := json.Marshal(newReminder(0))
	return len(b), len(e.body(0)), err
}
