package driver

import (
	"context"
	"time"
)

// Record is what a worker keeps beside its queues; see [Registrar].
type Record struct {
	ID   string // of the worker, unlike any other's
	Body []byte // UTF-8 without NUL; what it says is the worker's business
}

// Registrar is implemented by backends that keep a record of every worker
// beside the queues, so that whoever shares them sees who else does. A record is
// seen by every Conn for which the queues' names mean the same queues, whatever
// application, host or payload format it belongs to, and by no other. It has
// nothing to do with jobs: no verb of [Conn] reads or writes one.
type Registrar interface {
	// Register stores the record in place of an older one of the same id. It is
	// there once Register has returned, and gone when ttl (whole seconds, at least
	// one) has passed since.
	Register(ctx context.Context, r Record, ttl time.Duration) error
	// Unregister removes the record of that id; there needn't be one.
	Unregister(ctx context.Context, id string) error
	// Registered returns the records whose time isn't up, in no order.
	Registered(ctx context.Context) ([]Record, error)
}
