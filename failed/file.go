package failed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// File keeps failed jobs in a JSON file, as Laravel 10 and later do under
// driver file: an array, the newest first, of at most 100. What is over the
// limit is dropped, oldest first; keep failed jobs that matter in a table.
//
// The file is replaced as a whole, under a lock file beside it, so that Go
// processes never see or make half a file. PHP processes hold a cache lock
// instead: give it in FileOptions when they write to the same file.
type File struct {
	path  string
	limit int
	loc   *time.Location
	lock  Locker
}

// FileOptions are the settings of a [File] store.
type FileOptions struct {
	// Limit is how many records are kept. Default: 100.
	Limit int
	// Location is the time zone of failed_at. Default: UTC.
	Location *time.Location
	// Lock is the application's default cache store, whose lock
	// "laravel-failed-jobs" keeps PHP out during a change. Default: none.
	Lock Locker
}

// Locker is what File needs of a cache store; package cache has implementations.
type Locker interface {
	Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error)
	Release(ctx context.Context, name, owner string) (bool, error)
}

var (
	_ Store         = (*File)(nil)
	_ SameForgetter = (*File)(nil)
)

// NewFile returns the store in the file, which is made when the first record
// is logged. An application keeps it at storage/framework/cache/failed-jobs.json.
func NewFile(path string, o *FileOptions) *File {
	if o == nil {
		o = &FileOptions{}
	}
	s := &File{path: path, limit: o.Limit, loc: o.Location, lock: o.Lock}
	if s.limit < 1 {
		s.limit = 100
	}
	if s.loc == nil {
		s.loc = time.UTC
	}
	return s
}

// item is one element of the array: its exact bytes, and what they say.
type item struct {
	raw json.RawMessage

	ID                                    any
	Connection, Queue, Payload, Exception string
	FailedAt                              any   `json:"failed_at"`
	Timestamp                             int64 `json:"failed_at_timestamp"`
}

func (it *item) id() string {
	if it.ID == nil {
		return ""
	}
	return fmt.Sprint(it.ID)
}

// at is when the job failed; Laravel's first version kept only a number, as
// failed_at.
func (it *item) at(loc *time.Location) time.Time {
	switch at := it.FailedAt.(type) {
	case json.Number:
		if n, err := at.Int64(); err == nil && it.Timestamp == 0 {
			return time.Unix(n, 0).In(loc)
		}
	case string:
		if it.Timestamp == 0 {
			t, _ := time.ParseInLocation(timeFormat, at, loc)
			return t
		}
	}
	if it.Timestamp == 0 {
		return time.Time{}
	}
	return time.Unix(it.Timestamp, 0).In(loc)
}

func (it *item) record(loc *time.Location, f Filter) Record {
	r := Record{
		ID: it.id(), UUID: it.id(), Connection: it.Connection, Queue: it.Queue, FailedAt: it.at(loc),
	}
	if !f.WithoutPayload {
		r.Payload = DecodePayload(it.Payload)
	}
	if !f.WithoutException {
		r.Exception = it.Exception
	}
	return r
}

func (it *item) chosen(loc *time.Location, f Filter) bool {
	at := it.at(loc)
	return (f.Connection == "" || f.Connection == it.Connection) && (f.Queue == "" || f.Queue == it.Queue) &&
		(f.Since.IsZero() || !at.Before(f.Since.Truncate(time.Second))) && (f.Until.IsZero() || !at.After(f.Until))
}

// Log implements [Store].
func (s *File) Log(ctx context.Context, r Record) (string, error) {
	r = r.fill()
	err := s.change(ctx, func(items []item) []item {
		kept := make([]item, 1, len(items)+1)
		for _, it := range items {
			if it.id() != r.UUID {
				kept = append(kept, it)
			} else if next := it.at(s.loc).Add(time.Second); r.FailedAt.Before(next) {
				r.FailedAt = next // ForgetSame tells failures apart by their second
			}
		}
		kept[0] = item{raw: encode(r, s.loc)}
		return kept[:min(len(kept), s.limit)]
	})
	return r.UUID, err
}

// Find implements [Store].
func (s *File) Find(ctx context.Context, id string) (Record, error) {
	items, err := s.read(ctx)
	if err != nil {
		return Record{}, err
	}
	for _, it := range items {
		if it.id() == id {
			return it.record(s.loc, Filter{}), nil
		}
	}
	return Record{}, notFound(id)
}

// errNumbers is the answer to a filter by row numbers.
var errNumbers = fmt.Errorf("the file of failed jobs has no row numbers, choose records by their uuid: %w", errors.ErrUnsupported)

// List implements [Store]. The cursor is how many records were left: new ones
// come in front and forgotten ones are in front, so that none is missed.
func (s *File) List(ctx context.Context, f Filter, cursor string, max int) (page []Record, next string, err error) {
	if f.MinID != 0 || f.MaxID != 0 {
		return nil, "", errNumbers
	}
	if max < 1 {
		max = defaultPage
	}
	items, err := s.read(ctx)
	if err != nil {
		return nil, "", err
	}
	if cursor != "" {
		left, err := strconv.Atoi(cursor)
		if err != nil || left < 0 {
			return nil, "", fmt.Errorf("cursor %q is not one that List returned", cursor)
		}
		items = items[len(items)-min(left, len(items)):]
	}
	for i, it := range items {
		if !it.chosen(s.loc, f) {
			continue
		}
		if len(page) == max {
			return page, strconv.Itoa(len(items) - i), nil
		}
		page = append(page, it.record(s.loc, f))
	}
	return page, "", nil
}

// Forget implements [Store].
func (s *File) Forget(ctx context.Context, ids ...string) (int64, error) {
	unwanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		unwanted[id] = true
	}
	return s.drop(ctx, func(it *item) bool { return unwanted[it.id()] })
}

// ForgetSame implements [SameForgetter].
func (s *File) ForgetSame(ctx context.Context, recs ...Record) (int64, error) {
	unwanted := make(map[string]time.Time, len(recs))
	for _, r := range recs {
		unwanted[r.ID] = r.FailedAt
	}
	return s.drop(ctx, func(it *item) bool {
		at, ok := unwanted[it.id()]
		return ok && at.Equal(it.at(s.loc))
	})
}

// Flush implements [Store].
func (s *File) Flush(ctx context.Context, until time.Time) (int64, error) {
	return s.drop(ctx, func(it *item) bool { return until.IsZero() || !it.at(s.loc).After(until) })
}

func (s *File) drop(ctx context.Context, unwanted func(*item) bool) (n int64, err error) {
	err = s.change(ctx, func(items []item) []item {
		kept := items[:0]
		for _, it := range items {
			if !unwanted(&it) {
				kept = append(kept, it)
			}
		}
		n = int64(len(items) - len(kept))
		return kept
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Count implements [Store].
func (s *File) Count(ctx context.Context, f Filter) (n int64, err error) {
	if f.MinID != 0 || f.MaxID != 0 {
		return 0, errNumbers
	}
	items, err := s.read(ctx)
	for _, it := range items {
		if it.chosen(s.loc, f) {
			n++
		}
	}
	return n, err
}
