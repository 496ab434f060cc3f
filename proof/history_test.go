package proof

import (
	"bufio"
	"cmp"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"
)

// run is the time from the start of a handler to its end, to the moment at
// which its context was cancelled, or to the death of its process.
type run struct {
	uuid       string
	attempt    int
	pid        int
	start, end int64  // unix nanoseconds
	how        string // ended, cancelled, or "" for a process that was killed
}

// history is all runs of a fleet, by job, in the order of their starts.
type history struct {
	runs map[string][]run
	jobs map[int]int // runs by process
	n    int
}

// history reads the diaries. No process may run any more.
func (f *fleet) history() *history {
	f.t.Helper()
	h := &history{runs: map[string][]run{}, jobs: map[int]int{}}
	for _, p := range f.processes {
		if p.alive() {
			f.t.Fatalf("worker %d still runs", p.cmd.Process.Pid)
		}
		for _, r := range f.read(p) {
			h.runs[r.uuid] = append(h.runs[r.uuid], r)
			h.jobs[r.pid]++
			h.n++
		}
	}
	for _, rs := range h.runs {
		slices.SortFunc(rs, func(a, b run) int { return cmp.Compare(a.start, b.start) })
	}
	return h
}

// read returns the runs of one process.
func (f *fleet) read(p *process) []run {
	f.t.Helper()
	file, err := os.Open(p.diary)
	if os.IsNotExist(err) {
		return nil // killed before it could begin
	}
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	var runs []run
	open := map[string]int{} // index in runs
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			f.t.Fatalf("%s: %v: %s", p.diary, err, lines.Text())
		}
		i, running := open[e.UUID]
		switch {
		case e.What == started && running:
			f.t.Errorf("job %s: worker %d runs it twice at the same time", e.UUID, p.cmd.Process.Pid)
		case e.What == started:
			open[e.UUID] = len(runs)
			runs = append(runs, run{uuid: e.UUID, attempt: e.Attempt, pid: p.cmd.Process.Pid, start: e.At, end: max(e.At, p.killed.UnixNano())})
		case !running:
			f.t.Errorf("job %s: worker %d ends what it hasn't begun", e.UUID, p.cmd.Process.Pid)
		default:
			runs[i].end, runs[i].how = e.At, e.What
			delete(open, e.UUID)
		}
	}
	if err := lines.Err(); err != nil {
		f.t.Fatal(err)
	}
	if p.killed.IsZero() {
		for uuid := range open {
			f.t.Errorf("job %s: worker %d has ended, but not its handler", uuid, p.cmd.Process.Pid)
		}
	}
	return runs
}

// known checks that nothing ran but the jobs dispatched, and each at least
// once to its end.
func (h *history) known(t *testing.T, uuids []string) {
	t.Helper()
	lost := 0
	for _, uuid := range uuids {
		if !slices.ContainsFunc(h.runs[uuid], func(r run) bool { return r.how == ended }) {
			if lost++; lost <= 5 {
				t.Errorf("job %s never ran to its end; its runs: %+v", uuid, h.runs[uuid])
			}
		}
	}
	if lost > 5 {
		t.Errorf("%d jobs never ran to their end", lost)
	}
	if len(h.runs) != len(uuids) && lost == 0 {
		t.Errorf("%d jobs ran, %d were dispatched", len(h.runs), len(uuids))
	}
}

// once checks that every job ran exactly once, as its first attempt.
func (h *history) once(t *testing.T, uuids []string) {
	t.Helper()
	h.known(t, uuids)
	if h.n != len(uuids) {
		t.Errorf("%d runs of %d jobs", h.n, len(uuids))
	}
	for uuid, rs := range h.runs {
		if len(rs) != 1 || rs[0].attempt != 1 || rs[0].how != ended {
			t.Errorf("job %s did not run exactly once: %+v", uuid, rs)
			return
		}
	}
}

// apart checks that no two runs of a job overlap.
func (h *history) apart(t *testing.T) {
	t.Helper()
	for uuid, rs := range h.runs {
		for i := 1; i < len(rs); i++ {
			for _, earlier := range rs[:i] {
				if rs[i].start < earlier.end {
					t.Errorf("job %s: two runs overlap by %v: %+v", uuid, time.Duration(earlier.end-rs[i].start), rs)
				}
			}
		}
	}
}

// counted checks that every run of a job is of a later attempt than the one before.
func (h *history) counted(t *testing.T) {
	t.Helper()
	for uuid, rs := range h.runs {
		for i := 1; i < len(rs); i++ {
			if rs[i].attempt <= rs[i-1].attempt {
				t.Errorf("job %s: attempt %d comes after %d: %+v", uuid, rs[i].attempt, rs[i-1].attempt, rs)
			}
		}
	}
}

// rate returns how many runs there were per second, from the first start to
// the last end.
func (h *history) rate() float64 {
	var first, last int64
	for _, rs := range h.runs {
		for _, r := range rs {
			if first == 0 || r.start < first {
				first = r.start
			}
			last = max(last, r.end)
		}
	}
	return float64(h.n) / time.Duration(last-first).Seconds()
}

// count says how many runs ended in that way.
func (h *history) count(how string) int {
	n := 0
	for _, rs := range h.runs {
		for _, r := range rs {
			if r.how == how {
				n++
			}
		}
	}
	return n
}
