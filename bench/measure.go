package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// usage is what a task has used, of everything since the machine started.
type usage struct {
	client, server time.Duration
	allocs         uint64 // of this process
}

// used reads the clocks. A server's is unknown (negative) where there is no
// /proc.
func (s *store) used() usage {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	u := usage{allocs: mem.Mallocs, server: -1}
	var self syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &self) == nil {
		u.client = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	}
	if s.pid != 0 {
		u.server = treeCPU(s.pid)
	}
	return u
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
		time.Sleep(200 * time.Millisecond) // PostgreSQL's backends report when they end
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
