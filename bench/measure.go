package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// usage is what a task has used.
type usage struct {
	client, server time.Duration // of CPU; server is negative if unknown
	allocs         uint64        // of this process
}

// measure calls f and returns what it used. Reading the server's clock is work
// of our own, so that is read before ours at the start and after it at the end.
func (s *store) measure(f func() error) (usage, error) {
	server := s.serverCPU()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	client := ownCPU()
	err := f()
	u := usage{client: ownCPU() - client, server: -1}
	runtime.ReadMemStats(&after)
	u.allocs = after.Mallocs - before.Mallocs
	if end := s.serverCPU(); server >= 0 && end >= 0 {
		u.server = end - server
	}
	return u, err
}

// ownCPU returns the CPU time that this process has used.
func ownCPU() time.Duration {
	var self syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &self) != nil {
		return 0
	}
	return time.Duration(self.Utime.Nano() + self.Stime.Nano())
}

// serverCPU returns the CPU time that the server has used; negative where
// there is no server, or no /proc to say it.
func (s *store) serverCPU() time.Duration {
	if s.pid == 0 {
		return -1
	}
	return treeCPU(s.pid)
}

// tick is the unit of /proc/PID/stat: Linux shows every system 100 a second.
const tick = 10 * time.Millisecond

// treeCPU returns the CPU time of a process, of those it has waited for, and
// of its children; negative if it can't be read.
func treeCPU(pid int) time.Duration {
	f, err := statFields(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return -1
	}
	// utime, stime, and those of children that were waited for.
	ticks := f[11] + f[12] + f[13] + f[14]
	others, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range others {
		if g, err := statFields(path); err == nil && g[1] == pid {
			ticks += g[11] + g[12]
		}
	}
	return time.Duration(ticks) * tick
}

// statFields returns the numbers of a stat file from the state on, which
// counts as 0: [1] is the parent, [11] utime.
func statFields(path string) ([]int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	// "pid (name) state ppid …"; the name may hold blanks and parentheses.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 15 {
		return nil, fmt.Errorf("%s has %d fields", path, len(fields))
	}
	nums := make([]int, len(fields))
	for i, f := range fields[1:] {
		nums[i+1], _ = strconv.Atoi(string(f)) // some are larger than an int
	}
	return nums, nil
}

// alone waits until only we are connected to PostgreSQL: what a connection did
// is counted when it is gone.
func (s *store) alone(ctx context.Context, db *sql.DB) error {
	for n := 2; s.family == pgsqlStore && n > 1; time.Sleep(10 * time.Millisecond) {
		err := db.QueryRowContext(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()").Scan(&n)
		if err != nil {
			return err
		}
	}
	return nil
}

// counted is what a server counts.
type counted map[string]float64

// counters asks the server what it has done so far. PostgreSQL's numbers are
// complete once the connections that did it are closed.
func (s *store) counters(ctx context.Context) (counted, error) {
	c := counted{}
	number := func(name, text string) error {
		n, err := strconv.ParseFloat(text, 64)
		c[name] = n
		return err
	}
	switch s.family {
	case redisStore:
		info, err := s.redisInfo(ctx, "stats")
		if err == nil {
			err = number("commands", info["total_commands_processed"])
		}
		if err == nil {
			err = number("reads", info["total_reads_processed"])
		}
		return c, err
	case mysqlStore, pgsqlStore:
		queries := map[string]string{"statements": "SHOW GLOBAL STATUS LIKE 'Questions'"}
		if s.family == pgsqlStore {
			queries = map[string]string{
				"commits": "SELECT 'x', xact_commit::text FROM pg_stat_database WHERE datname = current_database()",
				"fsyncs":  "SELECT 'x', wal_sync::text FROM pg_stat_wal",
			}
		}
		db, err := openSQL(s)
		if err != nil {
			return nil, err
		}
		defer db.Close()
		if err := s.alone(ctx, db.SQL()); err != nil {
			return nil, err
		}
		for name, query := range queries {
			var label, value string
			if err := db.SQL().QueryRowContext(ctx, query).Scan(&label, &value); err != nil {
				return nil, err
			}
			if err := number(name, value); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}
