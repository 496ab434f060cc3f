package redisqueue

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/spoolq/spool/driver"
)

var _ driver.Registrar = (*Conn)(nil)

var (
	//go:embed lua/register.lua
	registerLua string
	//go:embed lua/registered.lua
	registeredLua string
)

// workers returns the key of the records of workers. All of them are under one
// key, so that a cluster needs no tag for it.
func (c *Conn) workers(ctx context.Context) ([]string, error) {
	if c.layout.Workers == "" {
		return nil, errors.ErrUnsupported
	}
	return []string{c.opts.Prefix + c.layout.Workers}, c.check(ctx)
}

// Register stores the record in the hash Layout.Workers.
func (c *Conn) Register(ctx context.Context, r driver.Record, ttl time.Duration) error {
	key, err := c.workers(ctx)
	if err != nil {
		return err
	}
	return c.run(ctx, c.scripts.register, key, []string{r.ID, seconds(driver.RoundUp(ttl, time.Second)), string(r.Body)}).Error()
}

// Unregister removes a record.
func (c *Conn) Unregister(ctx context.Context, id string) error {
	key, err := c.workers(ctx)
	if err != nil {
		return err
	}
	return c.run(ctx, c.scripts.register, key, []string{id}).Error()
}

// Registered returns the records that live.
func (c *Conn) Registered(ctx context.Context) ([]driver.Record, error) {
	key, err := c.workers(ctx)
	if err != nil {
		return nil, err
	}
	all, err := c.run(ctx, c.scripts.registered, key, nil).AsStrSlice()
	if err != nil {
		return nil, err
	}
	rs := make([]driver.Record, 0, len(all)/2)
	for i := 0; i+1 < len(all); i += 2 {
		rs = append(rs, driver.Record{ID: all[i], Body: []byte(all[i+1])})
	}
	return rs, nil
}
