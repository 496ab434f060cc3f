package demo

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spoolq/spool/failed"
)

// Summary is how a run went. Times are in milliseconds.
type Summary struct {
	Connection string  `json:"connection"`
	Driver     string  `json:"driver"`
	Seconds    float64 `json:"seconds"`
	Count              // of all queues
	Queues     []Count `json:"queues"`
	// OK says that every job has come to its one end and everything adds up.
	OK bool `json:"ok"`
	// Problems says what doesn't, in up to twenty sentences.
	Problems []string `json:"problems"`
	// MoreProblems is how many further ones there are.
	MoreProblems int  `json:"more_problems,omitempty"`
	Interrupted  bool `json:"interrupted,omitempty"`
	// Left are the jobs that the queues still hold.
	Left []Left `json:"left,omitempty"`
	// FailedJobs are the ids of the records that this run has left.
	FailedJobs []string `json:"failed_jobs"`
}

// Count is what became of the jobs of a queue. Pushed and Adopted together
// are Processed and Failed, when all is done.
type Count struct {
	Queue     string `json:"queue,omitempty"`
	Pushed    int64  `json:"pushed"`
	Adopted   int64  `json:"adopted,omitempty"` // left by an earlier run
	Runs      int64  `json:"runs"`              // of handlers
	Processed int64  `json:"processed"`         // jobs that are done
	Released  int64  `json:"released"`          // put back to be tried again
	Failed    int64  `json:"failed"`            // jobs that failed for good and stay so
	Retried   int64  `json:"retried"`           // jobs that failed for good and were put back
	// Wait is the time from when a job could run to its first run, Run that of
	// each run.
	Wait Span `json:"wait_ms"`
	Run  Span `json:"run_ms"`
}

// Span sums up durations.
type Span struct {
	n        int64
	sum, max time.Duration
}

func (s *Span) add(d time.Duration) {
	s.n++
	s.sum += d
	s.max = max(s.max, d)
}

func (s *Span) join(t Span) {
	s.n += t.n
	s.sum += t.sum
	s.max = max(s.max, t.max)
}

func (s Span) average() time.Duration { return s.sum / time.Duration(max(s.n, 1)) }

// MarshalJSON gives the average and the largest in milliseconds.
func (s Span) MarshalJSON() ([]byte, error) {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Appendf(nil, `{"avg":%.3f,"max":%.3f}`, ms(s.average()), ms(s.max)), nil
}

// Left is what a queue still holds.
type Left struct {
	Queue string `json:"queue"`
	Jobs  *int64 `json:"jobs"` // nil if the store doesn't answer
}

func sum(cs []Count) Count {
	var t Count
	for _, c := range cs {
		t.Pushed += c.Pushed
		t.Adopted += c.Adopted
		t.Runs += c.Runs
		t.Processed += c.Processed
		t.Released += c.Released
		t.Failed += c.Failed
		t.Retried += c.Retried
		t.Wait.join(c.Wait)
		t.Run.join(c.Run)
	}
	return t
}

// summary closes the books: it asks the store what is left there, and checks
// all of it if the run is complete.
func (r *run) summary(ctx context.Context, complete bool) *Summary {
	ctx, cancel := context.WithTimeout(ctx, stall/2)
	defer cancel()
	s := &Summary{
		Connection: r.conn.Name, Driver: r.conn.Driver().Traits().Driver,
		Problems: []string{}, FailedJobs: []string{},
	}
	var recs map[string]failed.Record
	if r.opts.Failed != nil {
		var err error
		if recs, err = r.records(ctx); err != nil {
			r.books.problem("what is recorded as failed can't be seen: %v", err)
			complete = false
		}
		for _, rec := range recs {
			s.FailedJobs = append(s.FailedJobs, rec.ID)
		}
		slices.Sort(s.FailedJobs)
	}
	for _, q := range Queues() {
		size, err := r.conn.Size(ctx, q)
		if err != nil {
			r.books.problem("what is left on %s can't be seen: %v", q, err)
			s.Left = append(s.Left, Left{q, nil})
			continue
		}
		if n := size.Total(); n > 0 {
			s.Left = append(s.Left, Left{q, &n})
			if complete {
				r.books.problem("%s should be empty and holds %d jobs: %d pending, %d delayed, %d reserved", q, n, size.Pending, size.Delayed, size.Reserved)
			}
		}
	}
	if complete {
		r.books.check(r.opts.Failed != nil, func(uuid string) bool { _, ok := recs[uuid]; return ok })
	}
	r.books.mu.Lock()
	defer r.books.mu.Unlock()
	s.Queues, s.Seconds = r.books.counts(), time.Since(r.begun).Seconds()
	s.Count = sum(s.Queues)
	s.Problems = append(s.Problems, r.books.problems.first...)
	s.MoreProblems = r.books.problems.n - len(s.Problems)
	s.OK = complete && len(s.Problems) == 0
	return s
}

// Print writes the summary for people.
func (s *Summary) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\n  queue\tpushed\tprocessed\treleased\tfailed\tretried\twait\tlongest\trun\tlongest\t")
	for _, c := range append(slices.Clone(s.Queues), s.Count) {
		name := c.Queue
		if name == "" {
			name = "together"
		}
		fmt.Fprintf(w, "  %s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t\n", name, c.Pushed+c.Adopted, c.Processed, c.Released, c.Failed, c.Retried,
			short(c.Wait.average()), short(c.Wait.max), short(c.Run.average()), short(c.Run.max))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s", s.verdict())
	return err
}

// verdict says whether the counts add up.
func (s *Summary) verdict() string {
	text := ""
	switch n := s.Pushed + s.Adopted; {
	case s.OK && n == 0:
		text = "  There was nothing to work.\n"
	case s.OK:
		text = fmt.Sprintf("  It adds up: %d pushed = %d processed + %d failed for good. Runs: %d, seconds: %.1f.\n"+
			"  None was lost, none ran twice, the queues are empty.\n", n, s.Processed, s.Failed, s.Runs, s.Seconds)
	case len(s.Problems) > 0:
		text = "  It does not add up:\n"
	}
	for _, p := range s.Problems {
		text += "   - " + printable(p) + "\n"
	}
	if s.MoreProblems > 0 {
		text += fmt.Sprintf("   - and %d more\n", s.MoreProblems)
	}
	return text
}

// short renders a duration in three digits or so.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}
