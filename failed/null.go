package failed

import (
	"context"
	"time"
)

// Null keeps nothing: Laravel's null driver. A job that fails is gone; a
// payload that can't be run at all is what a worker should then put aside on
// the queue "<queue>:poison", since here it would be lost.
type Null struct{}

var _ Store = Null{}

// Log drops the record and returns no ID.
func (Null) Log(context.Context, Record) (string, error) { return "", nil }

// Find returns [ErrNotFound].
func (Null) Find(_ context.Context, id string) (Record, error) { return Record{}, notFound(id) }

// List returns no records.
func (Null) List(context.Context, Filter, string, int) ([]Record, string, error) {
	return nil, "", nil
}

// Forget finds nothing to remove.
func (Null) Forget(context.Context, ...string) (int64, error) { return 0, nil }

// Flush finds nothing to remove.
func (Null) Flush(context.Context, time.Time) (int64, error) { return 0, nil }

// Count is 0.
func (Null) Count(context.Context, Filter) (int64, error) { return 0, nil }
