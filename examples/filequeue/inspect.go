package filequeue

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spoolq/spool/driver"
)

// Size counts files.
func (c *Conn) Size(ctx context.Context, queue string) (driver.Size, error) {
	var s driver.Size
	if err := c.check(ctx); err != nil {
		return s, err
	}
	waiting, err := names(c.folder(queue, pending))
	if err != nil {
		return s, err
	}
	held, err := names(c.folder(queue, reserved))
	if err != nil {
		return s, err
	}
	ready, _ := slices.BinarySearchFunc(waiting, time.Now().UnixNano()+1, func(n name, at int64) int { return int(max(min(n.at-at, 1), -1)) })
	s.Pending, s.Delayed, s.Reserved = int64(ready), int64(len(waiting)-ready), int64(len(held))
	if ready > 0 {
		s.Oldest = time.Unix(0, waiting[0].at)
	}
	return s, nil
}

// List reads files. The cursor is the name of the last one that was listed.
func (c *Conn) List(ctx context.Context, queue string, state driver.State, cursor string, most int) ([]driver.Entry, string, error) {
	if err := c.check(ctx); err != nil {
		return nil, "", err
	}
	folder := c.folder(queue, pending)
	switch state {
	case driver.Pending, driver.Delayed:
	case driver.Reserved:
		folder = c.folder(queue, reserved)
	default:
		return nil, "", errors.ErrUnsupported
	}
	all, err := names(folder)
	if err != nil {
		return nil, "", err
	}
	now := time.Now().UnixNano()
	var entries []driver.Entry
	last := ""
	for _, n := range all {
		due := n.at <= now
		if n.String() <= cursor || state == driver.Pending && !due || state == driver.Delayed && due {
			continue
		}
		if len(entries) == most {
			return entries, last, nil
		}
		e, err := read(folder, n, state)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has moved meanwhile
		}
		if err != nil {
			return nil, "", err
		}
		e.Expired = state == driver.Reserved && due
		entries, last = append(entries, e), n.String()
	}
	return entries, "", nil
}

// read returns a job as it stands.
func read(folder string, n name, state driver.State) (driver.Entry, error) {
	path := filepath.Join(folder, n.String())
	info, err := os.Stat(path)
	if err != nil {
		return driver.Entry{}, err
	}
	e := driver.Entry{ID: n.id, State: state, Attempts: n.attempts, Created: info.ModTime()}
	if state != driver.Pending {
		e.At = time.Unix(0, n.at)
	}
	e.Body, err = os.ReadFile(path)
	return e, err
}

// Queues returns the folders that hold files.
func (c *Conn) Queues(ctx context.Context) ([]string, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	folders, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, err
	}
	var queues []string
	for _, f := range folders {
		escaped, ok := strings.CutPrefix(f.Name(), queuePrefix)
		queue, err := url.QueryUnescape(escaped)
		if !ok || err != nil {
			continue
		}
		size, err := c.Size(ctx, queue)
		if err != nil {
			return nil, err
		}
		if size.Total() > 0 {
			queues = append(queues, queue)
		}
	}
	slices.Sort(queues)
	return queues, nil
}

// Clear removes the files of a queue.
func (c *Conn) Clear(ctx context.Context, queue string) (n int64, err error) {
	if err := c.check(ctx); err != nil {
		return 0, err
	}
	for _, state := range []string{pending, reserved} {
		all, err := names(c.folder(queue, state))
		if err != nil {
			return n, err
		}
		for _, job := range all {
			switch err := os.Remove(filepath.Join(c.folder(queue, state), job.String())); {
			case err == nil:
				n++
			case !errors.Is(err, fs.ErrNotExist):
				return n, err
			}
		}
	}
	return n, nil
}
