//go:build unix

package procgroup

import "time"

// proc is one row of the process table.
type proc struct {
	pid, ppid, pgid int
	session         int // 0 where the system doesn't tell
	zombie          bool
	memory          int64
	cpu             time.Duration
}

// members returns the processes that belong to the group: those in it, in its
// session, and the descendants of all these.
func members(table []proc, id int) []proc {
	in := make(map[int]bool)
	var found []proc
	for grew := true; grew; {
		grew = false
		for _, p := range table {
			if !in[p.pid] && (p.pid == id || p.pgid == id || p.session == id || in[p.ppid]) {
				in[p.pid], grew = true, true
				found = append(found, p)
			}
		}
	}
	return found
}

// sum adds up what the processes hold and have used.
func sum(ps []proc) usage {
	var u usage
	for _, p := range ps {
		u.memory += p.memory
		u.cpu += p.cpu
	}
	return u
}
