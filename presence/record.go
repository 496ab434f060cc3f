package presence

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// Record is what a worker tells of itself beside the queues that it
// works. It is renewed every quarter of a minute, and gone a minute after its
// worker has died.
type Record struct {
	ID          string    `json:"id"` // unlike any other worker's
	Name        string    `json:"name,omitempty"`
	App         string    `json:"app,omitempty"` // APP_NAME; "": not known
	Env         string    `json:"env,omitempty"` // APP_ENV; "": not known
	Host        string    `json:"host,omitempty"`
	PID         int       `json:"pid,omitempty"`
	User        string    `json:"user,omitempty"`
	Connection  string    `json:"connection,omitempty"` // as the worker calls it
	Queues      []string  `json:"queues,omitempty"`
	Format      string    `json:"format,omitempty"` // see spool.FormatName
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
	Running  = "running"
	Paused   = "paused"
	Stopping = "stopping" // waits for its last jobs
)

// List returns the records of Spool's workers that share the queues of a
// connection, whatever they call it, the longest running first. Workers of PHP
// keep none. It is errors.ErrUnsupported where the backend can't keep records.
func List(ctx context.Context, conn *spool.Connection) ([]Record, error) {
	var all []Record
	err := on(conn, "list workers", func(r driver.Registrar) error {
		rs, err := r.Registered(ctx)
		for _, r := range rs {
			var w Record
			if json.Unmarshal(r.Body, &w) != nil {
				w = Record{} // of a version that writes otherwise: it is there, and that is all
			}
			w.ID = r.ID
			all = append(all, w)
		}
		return err
	})
	slices.SortFunc(all, func(a, b Record) int {
		if n := a.Started.Compare(b.Started); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all, err
}

// put renews a record, or makes it.
func put(ctx context.Context, conn *spool.Connection, r Record) error {
	return on(conn, "register", func(d driver.Registrar) error {
		body, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return d.Register(ctx, driver.Record{ID: r.ID, Body: body}, life)
	})
}

// on calls fn with a connection's driver, if that keeps records.
func on(conn *spool.Connection, op string, fn func(driver.Registrar) error) error {
	err := errors.ErrUnsupported
	if r, ok := conn.Driver().(driver.Registrar); ok {
		err = fn(r)
	}
	if err != nil {
		return &spool.Error{Op: op, Connection: conn.Name, Err: err}
	}
	return nil
}
