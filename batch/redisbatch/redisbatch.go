// Package redisbatch keeps batches in Redis, for applications without SQL. PHP
// doesn't see them: Laravel keeps its batches in a database.
//
// What belongs to a batch has one hash tag, and is changed by scripts that see
// all of it, so that nothing is counted twice and a cluster can hold it:
//
//	spool:batch:{ID}            hash    numbers, times, name and options
//	spool:batch:{ID}:ended      hash    UUID of a member -> 1 if it failed, else 0
//	spool:batch:{ID}:failing    zset    UUIDs of members that are failing, by the order in which they failed
//	spool:batch:{ID}:callbacks  hash    UUID -> event, a bar, when it may be claimed (p: pushed, r: ran), a bar, how often it was claimed
//	spool:batches               zset    IDs, all with score 0: sorted by time, as they are
//	spool:batches:callbacks     zset    IDs of batches with callbacks that were not pushed, score 0
package redisbatch

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch"
)

// Options are the settings of a [Store].
type Options struct {
	// Prefix is put before every key as it is. Default: none.
	Prefix string
}

// Store is a [spool.BatchStore] in Redis.
type Store struct {
	client rueidis.Client
	prefix string
}

var _ spool.BatchStore = (*Store)(nil)

// New returns the store behind client, which it doesn't close.
func New(client rueidis.Client, o *Options) *Store {
	s := &Store{client: client}
	if o != nil {
		s.prefix = o.Prefix
	}
	return s
}

//go:embed lua/record.lua
var recordText string

//go:embed lua/grow.lua
var growText string

//go:embed lua/cancel.lua
var cancelText string

//go:embed lua/claim.lua
var claimText string

//go:embed lua/mark.lua
var markText string

//go:embed lua/begin.lua
var beginText string

func (s *Store) key(id string) string { return s.prefix + "spool:batch:{" + id + "}" }
func (s *Store) all() string          { return s.prefix + "spool:batches" }
func (s *Store) waiting() string      { return s.prefix + "spool:batches:callbacks" }

// keys are those that belong to a batch.
func (s *Store) keys(id string) []string {
	k := s.key(id)
	return []string{k, k + ":ended", k + ":failing", k + ":callbacks"}
}

// eval runs a script over the keys of a batch. It is not repeated when its reply
// is lost, as all commands that write; those who call it may do so again.
func (s *Store) eval(ctx context.Context, text, id string, args ...string) rueidis.RedisResult {
	return s.client.Do(ctx, s.client.B().Eval().Script(text).Numkeys(4).Key(s.keys(id)...).Arg(args...).Build())
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// Create implements [spool.BatchCounter]. The lists come first: what they name
// in vain is passed over.
func (s *Store) Create(ctx context.Context, r spool.BatchRecord) error {
	callbacks, err := batch.EncodeCallbacks(r.Options.Callbacks)
	if err != nil {
		return err
	}
	allow := "0"
	if r.Options.AllowFailures {
		allow = "1"
	}
	b := s.client.B()
	waits := false
	notes := b.Hset().Key(s.key(r.ID) + ":callbacks").FieldValue()
	for _, c := range r.Options.Callbacks {
		if c.Event != spool.BatchProgress {
			waits = true
			notes = notes.FieldValue(c.UUID, string(c.Event)+"|0|0")
		}
	}
	cmds := rueidis.Commands{b.Zadd().Key(s.all()).ScoreMember().ScoreMember(0, r.ID).Build()}
	if waits {
		cmds = append(cmds, b.Zadd().Key(s.waiting()).ScoreMember().ScoreMember(0, r.ID).Build(), notes.Build())
	}
	cmds = append(cmds, b.Hset().Key(s.key(r.ID)).FieldValue().
		FieldValue("name", r.Name).FieldValue("total", "0").FieldValue("pending", "0").FieldValue("failed", "0").
		FieldValue("created", unix(r.CreatedAt)).FieldValue("allow", allow).
		FieldValue("connection", r.Options.Connection).FieldValue("queue", r.Options.Queue).FieldValue("callbacks", callbacks).Build())
	var errs []error
	for _, res := range s.client.DoMulti(ctx, cmds...) {
		errs = append(errs, res.Error())
	}
	return errors.Join(errs...)
}

// record reads the hash of a batch.
func record(id string, h map[string]string) (r spool.BatchRecord, err error) {
	if len(h) == 0 {
		return r, spool.ErrBatchNotFound
	}
	number := func(name string) int64 {
		n, nerr := strconv.ParseInt(h[name], 10, 64)
		if nerr != nil && h[name] != "" && err == nil {
			err = fmt.Errorf("batch %s: field %s holds %q, no number", id, name, h[name])
		}
		return n
	}
	moment := func(name string) time.Time {
		if n := number(name); n != 0 {
			return time.Unix(n, 0)
		}
		return time.Time{}
	}
	r = spool.BatchRecord{
		ID: id, Name: h["name"], Total: int(number("total")), Pending: int(number("pending")), Failed: int(number("failed")),
		CreatedAt: moment("created"), CancelledAt: moment("cancelled"), FinishedAt: moment("finished"),
	}
	return r, err
}

// Find implements [spool.BatchCounter].
func (s *Store) Find(ctx context.Context, id string) (spool.BatchRecord, error) {
	b := s.client.B()
	res := s.client.DoMulti(ctx, b.Hgetall().Key(s.key(id)).Build(), b.Zrange().Key(s.key(id)+":failing").Min("0").Max("-1").Build())
	h, err := res[0].AsStrMap()
	if err != nil {
		return spool.BatchRecord{}, err
	}
	r, err := record(id, h)
	if err != nil {
		return r, err
	}
	if r.FailedIDs, err = res[1].AsStrSlice(); err != nil {
		return r, err
	}
	if len(r.FailedIDs) == 0 {
		r.FailedIDs = nil
	}
	r.Options = spool.BatchOptions{Connection: h["connection"], Queue: h["queue"], AllowFailures: h["allow"] == "1"}
	if text := h["callbacks"]; text != "" && text != "[]" {
		r.Options.Callbacks, err = batch.DecodeCallbacks(text)
	}
	return r, err
}

// change reads what a script says of a batch before and after: total, pending,
// failed, failing, cancelled and finished, twice.
func change(id string, res rueidis.RedisResult) (c spool.BatchChange, changed bool, err error) {
	ns, err := res.AsIntSlice()
	if err != nil || len(ns) == 0 {
		return c, false, err
	}
	if len(ns) != 12 {
		return c, false, fmt.Errorf("batch %s: a script has answered %d numbers", id, len(ns))
	}
	counts := func(n []int64) spool.BatchCounts {
		return spool.BatchCounts{
			Total: int(n[0]), Pending: int(n[1]), Failed: int(n[2]), Failing: int(n[3]), Cancelled: n[4] != 0, Finished: n[5] != 0,
		}
	}
	return spool.BatchChange{ID: id, Before: counts(ns[:6]), After: counts(ns[6:])}, true, nil
}

// Grow implements [spool.BatchCounter].
func (s *Store) Grow(ctx context.Context, id string, n int) (spool.BatchChange, error) {
	c, found, err := change(id, s.eval(ctx, growText, id, strconv.Itoa(n), unix(time.Now())))
	if err == nil && !found {
		err = spool.ErrBatchNotFound
	}
	return c, err
}

// Cancel implements [spool.BatchCounter].
func (s *Store) Cancel(ctx context.Context, id string) (bool, error) {
	n, err := s.eval(ctx, cancelText, id, unix(time.Now())).ToInt64()
	if err == nil && n < 0 {
		err = spool.ErrBatchNotFound
	}
	return n > 0, err
}

// Delete implements [spool.BatchCounter].
func (s *Store) Delete(ctx context.Context, id string) error {
	b := s.client.B()
	var errs []error
	for _, res := range s.client.DoMulti(ctx,
		b.Unlink().Key(s.keys(id)...).Build(),
		b.Zrem().Key(s.waiting()).Member(id).Build(), b.Zrem().Key(s.all()).Member(id).Build()) {
		errs = append(errs, res.Error())
	}
	return errors.Join(errs...)
}

// maxEnds bounds the ends of one script, which keeps the server busy.
const maxEnds = 500

// Record implements [spool.BatchCounter]. Each batch is counted at once; if one
// of several can't be, those before it stay counted, and counting them again
// changes nothing.
func (s *Store) Record(ctx context.Context, ends []spool.BatchEnd) ([]spool.BatchChange, error) {
	at := make(map[string]int, 1)
	var changes []spool.BatchChange
	var scripts []script
	for _, e := range ends {
		i, ok := at[e.Batch]
		if !ok || len(scripts[i].args) > 2*maxEnds {
			i, at[e.Batch] = len(scripts), len(scripts)
			scripts = append(scripts, script{id: e.Batch, args: []string{unix(time.Now())}})
		}
		failed := "0"
		if e.Failed {
			failed = "1"
		}
		scripts[i].args = append(scripts[i].args, e.UUID, failed)
	}
	cmds := make(rueidis.Commands, len(scripts))
	for i, c := range scripts {
		cmds[i] = s.client.B().Eval().Script(recordText).Numkeys(4).Key(s.keys(c.id)...).Arg(c.args...).Build()
	}
	clear(at) // from here on: where a batch is in changes
	for i, res := range s.client.DoMulti(ctx, cmds...) {
		c, changed, err := change(scripts[i].id, res)
		if err != nil {
			return nil, err
		}
		if !changed {
			continue
		}
		if n, ok := at[c.ID]; ok {
			changes[n].After = c.After // of a batch with very many
			continue
		}
		at[c.ID] = len(changes)
		changes = append(changes, c)
	}
	return changes, nil
}

// script is a run of the script that counts.
type script struct {
	id   string
	args []string
}

// Claim implements [spool.BatchCallbackStore].
func (s *Store) Claim(ctx context.Context, id string, events []spool.BatchEvent) ([]spool.ClaimedCallback, error) {
	now := time.Now()
	args := []string{unix(now), unix(now.Add(time.Minute))}
	for _, e := range events {
		args = append(args, string(e))
	}
	texts, err := s.eval(ctx, claimText, id, args...).AsStrSlice()
	if err != nil || len(texts)%3 != 0 {
		return nil, err
	}
	var claimed []spool.ClaimedCallback
	for i := 0; i < len(texts); i += 3 {
		n, err := strconv.Atoi(texts[i+2])
		if err != nil {
			return nil, fmt.Errorf("batch %s: callback %s: %w", id, texts[i], err)
		}
		claimed = append(claimed, spool.ClaimedCallback{UUID: texts[i], Event: spool.BatchEvent(texts[i+1]), N: n})
	}
	return claimed, nil
}

// Mark implements [spool.BatchCallbackStore].
func (s *Store) Mark(ctx context.Context, id, uuid string, state spool.CallbackState) error {
	to := "p"
	if state == spool.CallbackRan {
		to = "r"
	}
	left, err := s.eval(ctx, markText, id, uuid, to).ToInt64()
	if err == nil && left == 0 {
		err = s.client.Do(ctx, s.client.B().Zrem().Key(s.waiting()).Member(id).Build()).Error()
	}
	return err
}

// Begin implements [spool.BatchCallbackStore].
func (s *Store) Begin(ctx context.Context, id, uuid string, n int) (bool, error) {
	may, err := s.eval(ctx, beginText, id, uuid, strconv.Itoa(n)).ToInt64()
	return may == 1, err
}
