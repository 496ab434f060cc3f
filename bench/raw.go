package main

import (
	"context"
	"fmt"
	"time"
)

// rawContestant is the store itself: the plainest loop that keeps Laravel's
// layout valid, with bodies ready-made and not decoded, no handlers, no leases
// kept, nothing fenced. It is the limit.
func rawContestant() *contestant {
	return &contestant{
		name: "raw",
		about: func(s *store) string {
			return map[string]string{
				memoryStore: "the driver's verbs",
				redisStore:  "MULTI RPUSH RPUSH EXEC; pop script and variadic ZREM in one pipeline, 2 loops",
				sqliteStore: "prepared INSERT, 16 callers grouped by one goroutine; one transaction deletes the last batch and reserves the next",
				mysqlStore:  "INSERT, multi-row INSERT; SELECT … SKIP LOCKED, UPDATE, then DELETE, 4 loops",
				pgsqlStore:  "prepared INSERT, COPY; UPDATE … RETURNING and DELETE, 2 loops; a table without Spool's indexes",
			}[s.family]
		},
		widths: func(s *store, c *testcase) []int {
			if s.family == redisStore && c.task.Kind == latency {
				return []int{1}
			}
			return storeWidths(s, c)
		},
		open: func(ctx context.Context, s *store) (player, error) {
			body, err := newEnvelope(s)
			if err != nil {
				return nil, err
			}
			switch s.family {
			case redisStore:
				return openRawRedis(ctx, s, body)
			case sqliteStore:
				return openRawSQLite(ctx, s, body)
			case mysqlStore:
				return openRawMySQL(ctx, s, body)
			case pgsqlStore:
				return openRawPostgres(ctx, s, body)
			}
			return openVerbs(ctx, s)
		},
	}
}

// loops runs step in several goroutines until together they have done n jobs.
// step takes up to width jobs to their end and says how many; it is called
// with last once more at the end, to finish what it has put off.
func loops(n, goroutines int, open func() (step func(last bool) (int, error), err error)) (result, error) {
	count := newTally(n)
	took, err := concurrently(goroutines, goroutines, func(int) error {
		step, err := open()
		if err != nil {
			return err
		}
		for empty := 0; count.ended.Load() < int64(n); {
			got, err := step(false)
			if err != nil {
				return err
			}
			if count.ended.Add(int64(got)); got > 0 {
				empty = 0
			} else if empty++; empty > 1000 {
				return fmt.Errorf("nothing left after %d of %d jobs", count.ended.Load(), n)
			} else {
				time.Sleep(100 * time.Microsecond)
			}
		}
		got, err := step(true)
		count.ended.Add(int64(got))
		return err
	})
	if err == nil && count.ended.Load() != int64(n) {
		err = fmt.Errorf("%d jobs ended, want %d", count.ended.Load(), n)
	}
	return result{Elapsed: took}, err
}
