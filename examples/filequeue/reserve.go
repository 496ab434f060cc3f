package filequeue

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

// receipt is the name that a reserved job has. Renewing changes it.
type receipt struct {
	queue string
	mu    sync.Mutex
	name  name
}

// Reserve renames the next jobs that are ready. What another process renames
// at the same moment is the other's.
func (c *Conn) Reserve(ctx context.Context, queue string, most int) ([]driver.Reservation, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	if err := c.rescue(queue); err != nil {
		return nil, err
	}
	ready, err := names(c.folder(queue, pending))
	if err != nil {
		return nil, err
	}
	var rs []driver.Reservation
	for _, n := range ready {
		if len(rs) >= most || n.at > time.Now().UnixNano() {
			break
		}
		r, err := c.claim(queue, n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // somebody was faster
		}
		if err != nil && len(rs) == 0 {
			return nil, err
		}
		if err != nil {
			break // what is claimed must not be stranded; the next call tells
		}
		rs = append(rs, r)
	}
	return rs, nil
}

// claim reserves a job.
func (c *Conn) claim(queue string, n name) (driver.Reservation, error) {
	mine := name{at: c.in(c.traits.Lease), attempts: n.attempts + 1, id: n.id}
	path := filepath.Join(c.folder(queue, reserved), mine.String())
	if err := move(filepath.Join(c.folder(queue, pending), n.String()), path); err != nil {
		return driver.Reservation{}, err
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return driver.Reservation{}, err // its lease ends, as if this process had died
	}
	return driver.Reservation{
		ID: n.id, Queue: queue, Body: body, Attempts: mine.attempts, Receipt: &receipt{queue: queue, name: mine},
	}, nil
}

// move renames a file, and makes the folder if need be.
func move(from, to string) error {
	err := os.Rename(from, to)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, missing := os.Stat(filepath.Dir(to)); missing == nil {
		return err // it is the file that isn't there
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// rescue makes jobs available whose lease has run out.
func (c *Conn) rescue(queue string) error {
	held, err := names(c.folder(queue, reserved))
	if err != nil {
		return err
	}
	for _, n := range held {
		if n.at > time.Now().UnixNano() {
			break
		}
		if err := c.put(queue, n, 0, n.attempts); err != nil && !errors.Is(err, driver.ErrLost) {
			return err
		}
	}
	return nil
}

// put moves a reserved job to those that are pending.
func (c *Conn) put(queue string, n name, delay time.Duration, attempts int) error {
	to := name{at: c.in(delay), attempts: attempts, id: n.id}
	return lost(move(filepath.Join(c.folder(queue, reserved), n.String()), filepath.Join(c.folder(queue, pending), to.String())))
}

// lost turns "there is no such file" into the reservation being lost: another
// has it, or it was settled.
func lost(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return driver.ErrLost
	}
	return err
}

// each calls do for every reservation and returns the outcomes.
func (c *Conn) each(ctx context.Context, rs []driver.Reservation, do func(*receipt) error) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	errs := make([]error, len(rs))
	for i := range rs {
		r, ok := rs[i].Receipt.(*receipt)
		if !ok {
			errs[i] = driver.ErrLost // of another driver
			continue
		}
		r.mu.Lock()
		errs[i] = do(r)
		r.mu.Unlock()
	}
	return driver.Outcomes(errs)
}

// Delete removes the files.
func (c *Conn) Delete(ctx context.Context, rs []driver.Reservation) error {
	return c.each(ctx, rs, func(r *receipt) error {
		return lost(os.Remove(filepath.Join(c.folder(r.queue, reserved), r.name.String())))
	})
}

// Release makes the jobs pending again.
func (c *Conn) Release(ctx context.Context, rs []driver.Reservation, delay time.Duration) error {
	defer c.wake()
	return c.each(ctx, rs, func(r *receipt) error { return c.put(r.queue, r.name, delay, r.name.attempts) })
}

// Return makes the jobs pending again, attempts as before.
func (c *Conn) Return(ctx context.Context, rs []driver.Reservation, delay time.Duration) error {
	defer c.wake()
	return c.each(ctx, rs, func(r *receipt) error { return c.put(r.queue, r.name, delay, r.name.attempts-1) })
}

// Extend gives the jobs names whose moment is later.
func (c *Conn) Extend(ctx context.Context, rs []driver.Reservation) error {
	return c.each(ctx, rs, func(r *receipt) error {
		folder, later := c.folder(r.queue, reserved), r.name
		later.at = c.in(c.traits.Lease)
		err := lost(os.Rename(filepath.Join(folder, r.name.String()), filepath.Join(folder, later.String())))
		if err == nil {
			r.name = later
		}
		return err
	})
}
