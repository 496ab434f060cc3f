package spool

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Draft is a job about to be stored: what a [Format] encodes.
type Draft struct {
	// UUID is random, version 4: the job's identity for its whole life, retries
	// included. Encode may replace it where the payload has another identity.
	UUID string
	ID   string // 32 random letters and digits; stored only where CountsInBody
	Name string // the job's name, as handlers are looked up by
	// DisplayName is what people see; empty means Name up to an "@".
	DisplayName string
	// Data is encoded as the job's data.
	Data   any
	Policy Policy
	Delay  time.Duration
	// Created is the moment of the dispatch.
	Created time.Time
	// CountsInBody says that the backend counts attempts in the payload.
	CountsInBody bool
	// Unique is the lock that the job has, and Debounced what it takes the place
	// of; nil if it has none. They are in Extra too; a format whose framework has a
	// place of its own for the owner writes it there as well.
	Unique, Debounced *Claim
	// Extra holds further top-level keys, e.g. tags or a trace context, in sorted
	// order behind the others. They replace keys that the format writes, but
	// never id and attempts, which belong to the backend.
	Extra map[string]any
}

// Payload is a stored job, decoded.
type Payload struct {
	UUID        string // empty if the producer gave none
	DisplayName string
	// Job is the payload's "job" as it stands: "Class@method", a Go job's name.
	Job string
	// Name is what handlers are looked up by: the class for a PHP class job,
	// else Job.
	Name string
	// Data is the job's data as JSON. A format that stores data otherwise fills
	// it with its best JSON rendering, or leaves it nil.
	Data json.RawMessage
	// Policy is what the payload itself says; see [Policy].
	Policy Policy
	// ID and Attempts are the payload's own "id" and "attempts" (0 if absent).
	ID       string
	Attempts int
	// Created is zero if the payload doesn't say; Delay is then 0.
	Created time.Time
	// Delay is the delay of the dispatch.
	Delay time.Duration
	// Group is the message group (see [OnGroup]), so that a retry is in it too.
	Group string
	// Unique is the lock that the job has, as far as its payload says so, and
	// Debounced what it takes the place of; nil if it doesn't.
	Unique, Debounced *Claim
	// BatchID is the batch that the job is a member of, or, if BatchEvent isn't
	// empty, one of whose callbacks for that event it is.
	BatchID    string
	BatchEvent BatchEvent
	// BatchClaim is how often the callback had been claimed when it was pushed.
	BatchClaim int
	// Into decodes the data into v, a pointer; nil means by JSON from Data.
	Into func(v any) error
	// Chain is the chain of a job that keeps it in a form of its own; nil means
	// that it is kept in Spool's.
	Chain Chained

	chain, caught json.RawMessage // the values of chainKey and caughtKey
}

// Format is a payload layout: how a job becomes bytes and back. [Native] is
// the Laravel string job; package laravel adds PHP class jobs, package think
// the think-queue payload. Methods are safe for concurrent use.
type Format interface {
	// Encode returns the body of a new job.
	Encode(d *Draft) ([]byte, error)
	// Decode reads a stored body. The Payload may share body's memory. An error
	// means that the body is no job at all: it is set aside, never retried. Only
	// one that wraps [ErrNotHere] may come with a Payload: what is known of the
	// job.
	Decode(body []byte) (*Payload, error)
	// Retry returns body made ready for a new life: attempts 0 where it counts
	// them, and a retryUntil that has passed moved into the future by its
	// original span. All other bytes stay as they are.
	Retry(body []byte, now time.Time) ([]byte, error)
}

// DefaultNamer is implemented by formats of systems in which other names than ""
// mean a connection's default queue, too.
type DefaultNamer interface {
	NamesDefault(queue string) bool
}

// NameResolver is implemented by formats in which a job has several names.
type NameResolver interface {
	// ResolveName returns the full form of a job's name. Names with the same full
	// form mean the same handler.
	ResolveName(name string) string
}

// FormatNamer is implemented by formats whose jobs other formats don't
// understand, or miscount.
type FormatNamer interface {
	// FormatName names what is stored. Workers whose formats have the same name
	// can share queues; others would lose one another's jobs.
	FormatName() string
}

// FormatName returns the name of what a format stores: its own, or "laravel".
func FormatName(f Format) string {
	if n, ok := f.(FormatNamer); ok {
		return n.FormatName()
	}
	return "laravel"
}

// NewUUID returns a random UUID (version 4).
func NewUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return uuidText(b)
}

// UUIDOf returns the UUID (version 8) that belongs to a text, always the same:
// for a job that may be dispatched again by somebody who can't know that it was.
func UUIDOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	b := [16]byte(sum[:16])
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return uuidText(b)
}

// uuidText writes a UUID in its usual form.
func uuidText(b [16]byte) string {
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

// newID returns 32 random letters and digits, the form of Laravel's Redis ids.
func newID() string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var b [32]byte
	_, _ = rand.Read(b[:])
	for i, c := range b {
		// 62 of 256 values: a bias of 1 in 64 for the first letters does no harm
		// to an id of 190 bits.
		b[i] = alphabet[int(c)%len(alphabet)]
	}
	return string(b[:])
}
