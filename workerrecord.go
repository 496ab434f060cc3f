package spool

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/spoolq/spool/driver"
)

// WorkerRecord is what a worker tells of itself beside the queues that it
// works. It is renewed every quarter of a minute, and gone a minute after its
// worker has died.
type WorkerRecord struct {
	ID          string    `json:"id"` // unlike any other worker's
	Name        string    `json:"name,omitempty"`
	App         string    `json:"app,omitempty"` // APP_NAME; "": not known
	Env         string    `json:"env,omitempty"` // APP_ENV; "": not known
	Host        string    `json:"host,omitempty"`
	PID         int       `json:"pid,omitempty"`
	User        string    `json:"user,omitempty"`
	Connection  string    `json:"connection,omitempty"` // as the worker calls it
	Queues      []string  `json:"queues,omitempty"`
	Format      string    `json:"format,omitempty"` // see FormatName
	Concurrency int       `json:"concurrency,omitempty"`
	Exclusive   bool      `json:"exclusive,omitempty"` // refuses other environments
	State       string    `json:"state,omitempty"`     // running, paused or stopping
	Running     int       `json:"running"`             // jobs in hand
	Processed   int64     `json:"processed"`           // jobs that ran to an end
	Failed      int64     `json:"failed"`              // of these, failed for good
	Started     time.Time `json:"started,omitzero"`
	Seen        time.Time `json:"seen,omitzero"` // the last renewal, by the worker's clock
}

// The states of a worker in its record.
const (
	WorkerIsRunning  = "running"
	WorkerIsPaused   = "paused"
	WorkerIsStopping = "stopping" // waits for its last jobs
)

// Workers returns the records of Spool's workers that share the queues of this
// connection, whatever they call it, the longest running first. Workers of PHP
// keep none. It is errors.ErrUnsupported where the backend can't keep records.
func (c *Connection) Workers(ctx context.Context) (workers []WorkerRecord, err error) {
	err = inspect(c, "list workers", "", func(r driver.Registrar) error {
		rs, err := r.Registered(ctx)
		for _, r := range rs {
			var w WorkerRecord
			if json.Unmarshal(r.Body, &w) != nil {
				w = WorkerRecord{} // of a version that writes otherwise: it is there, and that is all
			}
			w.ID = r.ID
			workers = append(workers, w)
		}
		return err
	})
	slices.SortFunc(workers, func(a, b WorkerRecord) int {
		if n := a.Started.Compare(b.Started); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return workers, err
}

// Register renews a worker's record, or makes it, for so long.
func (c *Connection) Register(ctx context.Context, w WorkerRecord, ttl time.Duration) error {
	return inspect(c, "register", "", func(r driver.Registrar) error {
		body, err := json.Marshal(w)
		if err != nil {
			return err
		}
		return r.Register(ctx, driver.Record{ID: w.ID, Body: body}, ttl)
	})
}

// Unregister removes a worker's record.
func (c *Connection) Unregister(ctx context.Context, id string) error {
	return inspect(c, "unregister", "", func(r driver.Registrar) error { return r.Unregister(ctx, id) })
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
