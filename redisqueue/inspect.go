package redisqueue

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/driver"
)

// listMost is how many entries one page of List holds at most.
const listMost = 1000

// Size counts the jobs of a queue. Oldest is the createdAt of the first
// pending job (Laravel 12 and later write it).
func (c *Conn) Size(ctx context.Context, queue string) (driver.Size, error) {
	if err := c.check(ctx, queue); err != nil {
		return driver.Size{}, err
	}
	k := c.keys(queue)
	res := c.client.DoMulti(ctx,
		c.client.B().Llen().Key(k.ready).Build(),
		c.client.B().Zcard().Key(k.delayed).Build(),
		c.client.B().Zcard().Key(k.reserved).Build(),
		c.client.B().Lindex().Key(k.ready).Index(0).Build())
	var n [3]int64
	for i := range n {
		var err error
		if n[i], err = res[i].ToInt64(); err != nil {
			return driver.Size{}, err
		}
	}
	size := driver.Size{Pending: n[0], Delayed: n[1], Reserved: n[2]}
	first, err := res[3].ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		return driver.Size{}, err
	}
	if size.Pending > 0 {
		size.Oldest = look(first).created()
	}
	return size, nil
}

// glance is what inspection reads of a payload. Everything else, and anything
// that isn't what it should be, is left alone.
type glance struct {
	Attempts  json.RawMessage `json:"attempts"`
	CreatedAt json.RawMessage `json:"createdAt"`
}

func look(payload string) (g glance) {
	_ = json.Unmarshal([]byte(payload), &g) // not JSON: nothing is known of it
	return g
}

func number(raw json.RawMessage) float64 {
	n, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil || n < 0 || n > math.MaxInt32 {
		return 0
	}
	return n
}

func (g glance) created() time.Time {
	n, err := strconv.ParseInt(string(g.CreatedAt), 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// entry makes an entry of a payload.
func (l *Layout) entry(state driver.State, payload string) driver.Entry {
	g := look(payload)
	e := driver.Entry{State: state, Body: []byte(payload), Attempts: int(number(g.Attempts)), Created: g.created()}
	if l.CountsNext {
		e.Attempts = max(e.Attempts, 1)
		if state != driver.Reserved {
			e.Attempts-- // the next delivery has not been yet
		}
	}
	return e
}

// List returns a page of up to max jobs (1,000 at most) in one state: pending
// ones in the order they will be taken, the others by time. The cursor is a
// position, so a page after jobs have moved on may skip some.
func (c *Conn) List(ctx context.Context, queue string, state driver.State, cursor string, max int) ([]driver.Entry, string, error) {
	if err := c.check(ctx, queue); err != nil {
		return nil, "", err
	}
	var from int64
	if cursor != "" {
		var err error
		if from, err = strconv.ParseInt(cursor, 10, 64); err != nil || from < 0 {
			return nil, "", fmt.Errorf("redisqueue: cursor %q was not returned by List", cursor)
		}
	}
	if max <= 0 {
		return nil, cursor, nil
	}
	max = min(max, listMost)
	k := c.keys(queue)
	var entries []driver.Entry
	var err error
	switch state {
	case driver.Pending:
		entries, err = c.listPending(ctx, k.ready, from, max)
	case driver.Delayed:
		entries, err = c.listSet(ctx, k.delayed, state, from, max)
	case driver.Reserved:
		entries, err = c.listSet(ctx, k.reserved, state, from, max)
	default:
		return nil, "", fmt.Errorf("redisqueue: there is no state %q", state)
	}
	if err != nil {
		return nil, "", err
	}
	// One more than asked for was read, to know whether there is a next page.
	if len(entries) <= max {
		return entries, "", nil
	}
	return entries[:max], strconv.FormatInt(from+int64(max), 10), nil
}

func (c *Conn) listPending(ctx context.Context, list string, from int64, max int) ([]driver.Entry, error) {
	payloads, err := c.client.Do(ctx, c.client.B().Lrange().Key(list).Start(from).Stop(from+int64(max)).Build()).AsStrSlice()
	if err != nil {
		return nil, err
	}
	entries := make([]driver.Entry, len(payloads))
	for i, p := range payloads {
		entries[i] = c.layout.entry(driver.Pending, p)
	}
	return entries, nil
}

func (c *Conn) listSet(ctx context.Context, set string, state driver.State, from int64, max int) ([]driver.Entry, error) {
	members, err := c.client.Do(ctx, c.client.B().Zrange().Key(set).
		Min(strconv.FormatInt(from, 10)).Max(strconv.FormatInt(from+int64(max), 10)).Withscores().Build()).AsZScores()
	if err != nil {
		return nil, err
	}
	now, err := c.now(ctx, set)
	if err != nil {
		return nil, err
	}
	entries := make([]driver.Entry, len(members))
	for i, m := range members {
		e := c.layout.entry(state, m.Member)
		e.At = moment(m.Score)
		e.Expired = state == driver.Reserved && !e.At.After(now)
		entries[i] = e
	}
	return entries, nil
}

// now returns the time of the server that has the key.
func (c *Conn) now(ctx context.Context, key string) (time.Time, error) {
	const text = `local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000)`
	ms, err := c.client.Do(ctx, c.client.B().Eval().Script(text).Numkeys(1).Key(key).Build()).ToInt64()
	return time.UnixMilli(ms), err
}

func moment(score float64) time.Time {
	whole, part := math.Modf(score)
	return time.Unix(int64(whole), int64(part*1e9))
}

// Clear deletes every job of the queue and its notify list, and returns how
// many jobs there were.
func (c *Conn) Clear(ctx context.Context, queue string) (int64, error) {
	if err := c.check(ctx, queue); err != nil {
		return 0, err
	}
	k := c.keys(queue)
	res := c.client.DoMulti(ctx,
		c.client.B().Multi().Build(),
		c.client.B().Llen().Key(k.ready).Build(),
		c.client.B().Zcard().Key(k.delayed).Build(),
		c.client.B().Zcard().Key(k.reserved).Build(),
		c.client.B().Unlink().Key(k.all()...).Build(),
		c.client.B().Exec().Build())
	answers, err := res[len(res)-1].ToArray()
	if err != nil {
		return 0, err
	}
	var total int64
	for i := range answers[:3] {
		n, err := answers[i].ToInt64()
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, answers[3].Error()
}

// Rescue makes up to max expired reservations ready again.
func (c *Conn) Rescue(ctx context.Context, queue string, max int) (int, error) {
	if err := c.check(ctx, queue); err != nil {
		return 0, err
	}
	k := c.keys(queue)
	total := 0
	for total < max {
		n, err := c.run(ctx, c.scripts.rescue, k.all(),
			[]string{strconv.Itoa(min(max-total, migrateMost))}).ToInt64()
		if err != nil {
			return total, err
		}
		if n == 0 {
			break
		}
		total += int(n)
	}
	return total, nil
}
