package redisbatch

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool"
)

// page is how many batches are read in one round trip.
const page = 200

// ids returns IDs of a list in order, behind one or before it.
func (s *Store) ids(ctx context.Context, key, after string, down bool, limit int) ([]string, error) {
	b := s.client.B()
	if !down {
		from := "-"
		if after != "" {
			from = "(" + after
		}
		return s.client.Do(ctx, b.Zrange().Key(key).Min(from).Max("+").Bylex().Limit(0, int64(limit)).Build()).AsStrSlice()
	}
	from := "+"
	if after != "" {
		from = "(" + after
	}
	return s.client.Do(ctx, b.Zrange().Key(key).Min(from).Max("-").Bylex().Rev().Limit(0, int64(limit)).Build()).AsStrSlice()
}

// fields are what List and Prune read of a batch.
var fields = []string{"name", "total", "pending", "failed", "created", "cancelled", "finished"}

// read returns the numbers of batches; those that are gone are left out.
func (s *Store) read(ctx context.Context, ids []string) ([]spool.BatchRecord, error) {
	cmds := make(rueidis.Commands, len(ids))
	for i, id := range ids {
		cmds[i] = s.client.B().Hmget().Key(s.key(id)).Field(fields...).Build()
	}
	var list []spool.BatchRecord
	for i, res := range s.client.DoMulti(ctx, cmds...) {
		values, err := res.ToArray()
		if err != nil {
			return nil, err
		}
		h := map[string]string{}
		for n, v := range values {
			if text, err := v.ToString(); err == nil {
				h[fields[n]] = text
			}
		}
		r, err := record(ids[i], h)
		if errors.Is(err, spool.ErrBatchNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// List implements [spool.BatchLister].
func (s *Store) List(ctx context.Context, before string, limit int) (list []spool.BatchRecord, err error) {
	for len(list) < limit {
		ids, err := s.ids(ctx, s.all(), before, true, limit-len(list))
		if err != nil || len(ids) == 0 {
			return list, err
		}
		some, err := s.read(ctx, ids)
		if err != nil {
			return list, err
		}
		list, before = append(list, some...), ids[len(ids)-1]
	}
	return list, nil
}

// Prune implements [spool.BatchLister].
func (s *Store) Prune(ctx context.Context, kind spool.BatchKind, before time.Time) (n int64, err error) {
	for after := ""; ; {
		ids, err := s.ids(ctx, s.all(), after, false, page)
		if err != nil || len(ids) == 0 {
			return n, err
		}
		list, err := s.read(ctx, ids)
		if err != nil {
			return n, err
		}
		for _, r := range list {
			var old bool
			switch kind {
			case spool.FinishedBatches:
				old = !r.FinishedAt.IsZero() && r.FinishedAt.Before(before)
			case spool.UnfinishedBatches:
				old = r.FinishedAt.IsZero() && r.CreatedAt.Before(before)
			case spool.CancelledBatches:
				old = !r.CancelledAt.IsZero() && r.CreatedAt.Before(before)
			}
			if !old {
				continue
			}
			if err := s.Delete(ctx, r.ID); err != nil {
				return n, err
			}
			n++
		}
		after = ids[len(ids)-1]
	}
}

// Owed implements [spool.BatchCallbackStore].
func (s *Store) Owed(ctx context.Context, limit int) (owed []string, err error) {
	for after := ""; ; {
		ids, err := s.ids(ctx, s.waiting(), after, false, page)
		if err != nil || len(ids) == 0 {
			return owed, err
		}
		b := s.client.B()
		cmds := make(rueidis.Commands, 0, 3*len(ids))
		for _, id := range ids {
			k := s.key(id)
			cmds = append(cmds, b.Hmget().Key(k).Field(fields...).Build(), b.Zcard().Key(k+":failing").Build(), b.Hvals().Key(k+":callbacks").Build())
		}
		res := s.client.DoMulti(ctx, cmds...)
		now := time.Now().Unix()
		for i, id := range ids {
			due, err := isOwed(id, res[3*i:3*i+3], now)
			if err != nil {
				return owed, err
			}
			if due {
				owed = append(owed, id)
			}
			if len(owed) == limit {
				return owed, nil
			}
		}
		after = ids[len(ids)-1]
	}
}

// isOwed says whether a batch has come to an event that a callback waits for.
func isOwed(id string, res []rueidis.RedisResult, now int64) (bool, error) {
	values, err := res[0].ToArray()
	if err != nil {
		return false, err
	}
	h := map[string]string{}
	for n, v := range values {
		if text, err := v.ToString(); err == nil {
			h[fields[n]] = text
		}
	}
	r, err := record(id, h)
	if errors.Is(err, spool.ErrBatchNotFound) {
		return false, nil
	}
	failing, ferr := res[1].ToInt64()
	notes, nerr := res[2].AsStrSlice()
	if err := errors.Join(err, ferr, nerr); err != nil {
		return false, err
	}
	c := r.Counts()
	c.Failing = int(failing)
	for _, e := range c.Events() {
		for _, note := range notes {
			parts := strings.Split(note, "|")
			if len(parts) != 3 || parts[0] != string(e) {
				continue
			}
			if free, err := strconv.ParseInt(parts[1], 10, 64); err == nil && free <= now {
				return true, nil
			}
		}
	}
	return false, nil
}
