package spooltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/spoolq/spool"
)

// Push is a job that was dispatched.
type Push struct {
	Connection, Queue string
	Name, UUID        string
	Delay             time.Duration
	// Payload is what is stored, decoded: policy, batch, and by [spool.ChainOf]
	// the chain. It is nil for a body that is no job.
	Payload *spool.Payload
	Body    []byte // as stored
}

func newPush(connection, queue string, body []byte, delay time.Duration, format spool.Format) Push {
	p := Push{Connection: connection, Queue: queue, Body: bytes.Clone(body), Delay: delay}
	if payload, _ := format.Decode(p.Body); payload != nil { // even if it can't be decrypted here
		p.Payload, p.Name, p.UUID = payload, payload.Name, payload.UUID
	}
	return p
}

// Decode stores the job's data in v, a pointer.
func (p Push) Decode(v any) error {
	if p.Payload == nil {
		return errors.New("the body is no job")
	}
	return (&spool.Job{Name: p.Name, Payload: p.Payload}).Decode(v)
}

// data returns the job's data for people.
func (p Push) data() string {
	const most = 500
	if p.Payload == nil {
		return "(not a job)"
	}
	if s := string(p.Payload.Data); len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(string(p.Payload.Data[:most]), "") + "…"
}

// String says what was pushed, and where.
func (p Push) String() string {
	s := fmt.Sprintf("%s on %s:%s", p.Name, p.Connection, p.Queue)
	if p.Delay > 0 {
		s += fmt.Sprintf(" in %v", p.Delay)
	}
	return s + " " + p.data()
}

// same says whether two jobs have the same name and data, as far as these can be
// read.
func (p Push) same(q Push) bool {
	if p.Payload == nil || q.Payload == nil || p.Name != q.Name || len(p.Payload.Data) == 0 {
		return false
	}
	a, aerr := plain(p.Payload.Data)
	b, berr := plain(q.Payload.Data)
	return aerr == nil && berr == nil && reflect.DeepEqual(a, b)
}

func plain(data []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// list lists pushes for the message of a failure.
func list(ps []Push) string {
	if len(ps) == 0 {
		return "nothing was pushed"
	}
	var b strings.Builder
	b.WriteString("pushed were:")
	for i, p := range ps {
		if i == 20 {
			fmt.Fprintf(&b, "\n\tand %d more", len(ps)-i)
			break
		}
		b.WriteString("\n\t" + p.String())
	}
	return b.String()
}

// Dispatched is a job of type T that was dispatched.
type Dispatched[T any] struct {
	Push
	Job T
}

// Pushed returns the jobs of type T that were dispatched, in order. It ends the
// test if one has data that doesn't fit the type.
func Pushed[T any](f *Fake) []Dispatched[T] {
	f.t.Helper()
	name, err := spool.NameOf[T]()
	if err != nil {
		f.t.Fatalf("spooltest: %v", err)
	}
	var all []Dispatched[T]
	for _, p := range f.Pushes() {
		if p.Name != name {
			continue
		}
		d := Dispatched[T]{Push: p}
		if err := p.Decode(&d.Job); err != nil {
			f.t.Fatalf("a job that was pushed as %s doesn't fit the type: %v", name, err)
		}
		all = append(all, d)
	}
	return all
}

// AssertPushed reports an error unless exactly n jobs of type T were dispatched,
// 0 meaning none, and returns those that were. It ends the test if there are
// fewer, so that they can be indexed.
func AssertPushed[T any](f *Fake, n int) []Dispatched[T] {
	f.t.Helper()
	got := Pushed[T](f)
	if len(got) == n {
		return got
	}
	name, _ := spool.NameOf[T]() // Pushed has asked
	report := f.t.Errorf
	if len(got) < n {
		report = f.t.Fatalf
	}
	report("%s was pushed %d times, want %d; %s", name, len(got), n, list(f.Pushes()))
	return got
}

// AssertHas ends the test unless a job of this name and data was dispatched, and
// returns the first. The job is as for [spool.Dispatch], or of [spool.WithName];
// where it went is in the result.
func (f *Fake) AssertHas(job any) Push {
	f.t.Helper()
	want, all := f.encode(job), f.Pushes()
	for _, p := range all {
		if p.same(want) {
			return p
		}
	}
	f.t.Fatalf("no %s %s was pushed; %s", want.Name, want.data(), list(all))
	return Push{}
}

// AssertNothingPushed reports an error if anything was dispatched.
func (f *Fake) AssertNothingPushed() {
	f.t.Helper()
	if all := f.Pushes(); len(all) > 0 {
		f.t.Errorf("want nothing to be pushed; %s", list(all))
	}
}

// encode returns what a dispatch of job would record.
func (f *Fake) encode(job any) Push {
	f.t.Helper()
	s := f.scratch()
	if _, err := spool.Dispatch(f.context(), s.Client, job); err != nil {
		f.t.Fatalf("spooltest: %v", err)
	}
	return s.Pushes()[0]
}
