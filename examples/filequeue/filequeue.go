// Package filequeue keeps queues in a folder: a job is a file, and whoever
// renames it has it. It is an example of a driver that a third party writes,
// complete and held to the contract by the public suite; see "Write one" in
// docs/drivers.md, which goes through it.
//
// # How jobs are kept
//
// Each queue is a folder with the folders pending and reserved. The name of a
// file says everything but the payload, which is its content:
//
//	00001795195723000000000.2.4TZ6…    a moment, the attempts, the id
//
// The moment is in nanoseconds since 1970: when a pending job becomes ready, or
// when the lease of a reserved one ends. Since files of a folder sort by name, the
// first pending file is the next job. Every change of a job is one rename,
// which succeeds for one caller only, and which needs the name that the job has:
// a late holder's doesn't exist any more, for the lease of the next holder ends at
// another moment.
//
// # What to know
//
// Processes of one machine may share the folder. Several machines may not: their
// clocks differ, and network file systems rename in ways of their own.
//
// What a process leaves in the folder unfinished when it is killed in the middle
// of a Push is no job, and is removed a day later.
//
// A job that was pushed outlives a power cut, because Push waits for the disk.
// What a power cut undoes of later renames makes a job run again.
//
// Order is that in which jobs become ready; a released job and one whose lease
// ran out go last. Each call reads the names of a whole queue, which is fine for
// thousands of jobs. Pushes by other processes are noticed within 250 ms.
package filequeue

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spoolq/spool/driver"
)

// Options are the options of [Open].
type Options struct {
	// RetryAfter is the lease; 0 means 90 s. Less than [driver.MinLease] is
	// refused.
	RetryAfter time.Duration
	// NoSync doesn't wait for the disk: a power cut loses the last pushes.
	NoSync bool
}

// Conn is a folder of queues. It is safe for concurrent use.
type Conn struct {
	dir    string
	noSync bool
	traits driver.Traits

	mu     sync.Mutex
	last   int64         // the moment of the last job
	woken  chan struct{} // closed by the next push
	closed chan struct{}
}

var (
	_ driver.Conn        = (*Conn)(nil)
	_ driver.Waiter      = (*Conn)(nil)
	_ driver.Extender    = (*Conn)(nil)
	_ driver.Returner    = (*Conn)(nil)
	_ driver.Sizer       = (*Conn)(nil)
	_ driver.Lister      = (*Conn)(nil)
	_ driver.QueueLister = (*Conn)(nil)
	_ driver.Clearer     = (*Conn)(nil)
	_ driver.Pinger      = (*Conn)(nil)
)

// Open returns the queues in a folder, which is made if it isn't there.
func Open(dir string, opts *Options) (*Conn, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	lease := cmp.Or(o.RetryAfter, driver.DefaultLease)
	if lease < driver.MinLease {
		return nil, fmt.Errorf("filequeue: retry_after is %v; the shortest is %v", lease, driver.MinLease)
	}
	if dir == "" {
		return nil, errors.New("filequeue: no folder")
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, unfinished), 0o700)
	}
	if err == nil {
		err = sweep(filepath.Join(dir, unfinished), time.Now().Add(-24*time.Hour))
	}
	if err != nil {
		return nil, fmt.Errorf("filequeue: %w", err)
	}
	return &Conn{
		dir: dir, noSync: o.NoSync,
		traits: driver.Traits{Driver: "file", Lease: lease, Renew: lease / 3, Resolution: time.Millisecond},
		woken:  make(chan struct{}), closed: make(chan struct{}),
	}, nil
}

// sweep removes files that were last written before a moment.
func sweep(folder string, before time.Time) error {
	files, err := os.ReadDir(folder)
	for _, f := range files {
		if info, gone := f.Info(); gone == nil && info.ModTime().Before(before) {
			err = errors.Join(err, os.Remove(filepath.Join(folder, f.Name())))
		}
	}
	return err
}

// Traits returns the fixed facts of the connection.
func (c *Conn) Traits() driver.Traits { return c.traits }

// Close ends all waits. Files stay as they are.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	return nil
}

// check says whether a call may begin.
func (c *Conn) check(ctx context.Context) error {
	select {
	case <-c.closed:
		return driver.ErrClosed
	default:
		return ctx.Err()
	}
}

// unfinished is the folder of files that are being written.
const unfinished = "unfinished"

// The folders of a queue.
const (
	pending  = "pending"
	reserved = "reserved"
)

// folder returns a folder of a queue. Any name will do: what could mean
// something in a path is escaped.
func (c *Conn) folder(queue, state string) string {
	return filepath.Join(c.dir, queuePrefix+url.QueryEscape(queue), state)
}

const queuePrefix = "queue-"

// name is the name of a job's file.
type name struct {
	at       int64 // nanoseconds since 1970
	attempts int
	id       string
}

func (n name) String() string { return fmt.Sprintf("%020d.%d.%s", n.at, n.attempts, n.id) }

// parse reads a name; ok is false for a file that isn't a job.
func parse(file string) (n name, ok bool) {
	at, rest, _ := strings.Cut(file, ".")
	attempts, id, ok := strings.Cut(rest, ".")
	var err1, err2 error
	n.at, err1 = strconv.ParseInt(at, 10, 64)
	n.attempts, err2 = strconv.Atoi(attempts)
	n.id = id
	return n, ok && err1 == nil && err2 == nil
}

// names returns the jobs of a folder, the next one first.
func names(folder string) ([]name, error) {
	files, err := os.ReadDir(folder) // sorted
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := make([]name, 0, len(files))
	for _, f := range files {
		if n, ok := parse(f.Name()); ok {
			all = append(all, n)
		}
	}
	return all, nil
}

// now returns the moment, later than any it has returned before, so that jobs of
// this connection have an order.
func (c *Conn) now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(time.Now().UnixNano(), c.last+1)
	return c.last
}

// in returns the moment after a delay.
func (c *Conn) in(d time.Duration) int64 {
	at := c.now()
	if d > 0 && at > math.MaxInt64-int64(d) {
		return math.MaxInt64
	}
	return at + max(int64(d), 0)
}

// Push writes each job to a file of its own and gives it its name when it is
// whole. It waits for the disk.
func (c *Conn) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	if err := c.traits.Check(ms); err != nil || len(ms) == 0 {
		return nil, err
	}
	folder := c.folder(queue, pending)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(ms))
	for i := range ms {
		n := name{at: c.in(ms[i].Delay), id: rand.Text()}
		if err := c.write(filepath.Join(folder, n.String()), ms[i].Body); err != nil {
			return ids, err
		}
		ids = append(ids, n.id)
	}
	c.wake()
	if c.noSync {
		return ids, nil
	}
	if err := syncFolder(folder); err != nil {
		return nil, fmt.Errorf("%w: %w", driver.ErrStored, err)
	}
	return ids, nil
}

// write makes a file appear whole.
func (c *Conn) write(path string, body []byte) error {
	f, err := os.CreateTemp(filepath.Join(c.dir, unfinished), "job")
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err == nil && !c.noSync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the error to tell is the first
	}
	return err
}

// syncFolder has the names in a folder outlive a power cut.
func syncFolder(folder string) error {
	if runtime.GOOS == "windows" {
		return nil // which has no such thing
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
