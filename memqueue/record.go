package memqueue

import (
	"bytes"
	"context"
	"time"

	"github.com/spoolq/spool/driver"
)

var _ driver.Registrar = (*Conn)(nil)

// record is what a worker has registered.
type record struct {
	body []byte
	ends time.Time
}

// Register keeps a copy of the record until ttl has passed.
func (c *Conn) Register(ctx context.Context, r driver.Record, ttl time.Duration) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	if c.records == nil {
		c.records = map[string]record{}
	}
	c.records[r.ID] = record{body: bytes.Clone(r.Body), ends: time.Now().Add(ttl)}
	return nil
}

// Unregister drops a record.
func (c *Conn) Unregister(ctx context.Context, id string) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	delete(c.records, id)
	return nil
}

// Registered returns copies of the records, and drops those whose time is up.
func (c *Conn) Registered(ctx context.Context) ([]driver.Record, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	defer c.mu.Unlock()
	var rs []driver.Record
	now := time.Now()
	for id, r := range c.records {
		if !now.Before(r.ends) {
			delete(c.records, id)
			continue
		}
		rs = append(rs, driver.Record{ID: id, Body: bytes.Clone(r.body)})
	}
	return rs, nil
}
