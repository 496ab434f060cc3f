//go:build unix

package procgroup

import (
	"strconv"
	"strings"
	"time"
)

// psArgs are the arguments for which parsePS reads the output of ps.
var psArgs = []string{"-axo", "pid=,ppid=,pgid=,rss=,time=,state="}

// parsePS reads the process table as ps prints it.
func parsePS(out string) []proc {
	var table []proc
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 6 {
			continue
		}
		p := proc{cpu: parseTime(f[4]), zombie: f[5][0] == 'Z'}
		var err error
		if p.pid, err = strconv.Atoi(f[0]); err != nil {
			continue
		}
		p.ppid, _ = strconv.Atoi(f[1])
		p.pgid, _ = strconv.Atoi(f[2])
		kb, _ := strconv.ParseInt(f[3], 10, 64)
		p.memory = kb << 10
		table = append(table, p)
	}
	return table
}

// parseTime reads [[dd-]hh:]mm:ss[.cc].
func parseTime(s string) time.Duration {
	var total float64
	if days, rest, ok := strings.Cut(s, "-"); ok {
		d, _ := strconv.Atoi(days)
		total, s = float64(d)*24, rest
	}
	for i, part := range strings.Split(s, ":") {
		v, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return 0
		}
		if i > 0 {
			total *= 60
		}
		total += v
	}
	return time.Duration(total * float64(time.Second))
}
