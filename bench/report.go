package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is a whole run.
type report struct {
	When   time.Time `json:"when"`
	Go     string    `json:"go"`
	System string    `json:"system"`
	CPU    string    `json:"cpu"`
	CPUs   int       `json:"cpus"`
	Load   string    `json:"load"` // at the start: others' work on the machine
	Rounds int       `json:"rounds"`
	Aim    string    `json:"aim"`
	Sheets []*sheet  `json:"sheets"`
}

func newReport(p *plan) *report {
	return &report{
		When: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		CPU: procLine("/proc/cpuinfo", "model name"), CPUs: runtime.NumCPU(), Load: procLine("/proc/loadavg", ""),
		Rounds: p.rounds, Aim: p.aim.String(),
	}
}

// procLine returns what a file under /proc says behind a label, or its first
// line; "unknown" where there is no such file.
func procLine(path, label string) string {
	f, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		switch {
		case label == "":
			return lines.Text()
		case strings.TrimSpace(name) == label:
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// write prints the report as Markdown.
func (r *report) write(w io.Writer) {
	fmt.Fprintf(w, "%s, %s, %s, %d × %s, load at the start %s.\n", r.When.Format(time.RFC3339), r.Go, r.System, r.CPUs, r.CPU, r.Load)
	fmt.Fprintf(w, "%d rounds in turns, about %s each. Median (least–most). Ratios are Spool's rate by the other's, turn by turn.\n", r.Rounds, r.Aim)
	fmt.Fprintf(w, "CPU is of this process and of the server; allocations are of this process; a server's counts include connecting.\n")
	for _, s := range r.Sheets {
		s.write(w)
	}
}

func (s *sheet) write(w io.Writer) {
	fmt.Fprintf(w, "\n## %s\n\n%s; %s. %d bytes of JSON data in a body of %d.\n\n", s.Store, s.Version, s.Durability, s.Data, s.Body)
	for _, a := range s.about {
		fmt.Fprintf(w, "- %s\n", a)
	}
	rates := slices.ContainsFunc(s.Rows, func(r *row) bool { return r.Scores[0].Rate != nil })
	if rates {
		fmt.Fprint(w, "\n| case | who | setting (others) | jobs/s | Spool ÷ it | client µs/job | server µs/job | allocs/job | counted/job |\n|---|---|---|---|---|---|---|---|---|\n")
	}
	for _, r := range s.Rows {
		for _, sc := range r.Scores {
			if sc.Rate != nil {
				fmt.Fprintln(w, sc.rateLine(r))
			}
		}
	}
	if slices.ContainsFunc(s.Rows, func(r *row) bool { return r.Scores[0].Latencies != nil }) {
		fmt.Fprint(w, "\n| case | who | jobs | p50 ms | p99 ms | max ms | client µs/job | server µs/job |\n|---|---|---|---|---|---|---|---|\n")
	}
	for _, r := range s.Rows {
		for _, sc := range r.Scores {
			if l := sc.Latencies; l != nil {
				fmt.Fprintf(w, "| %s | %s | %d | %s | %s | %s | %s | %s |\n", r.Case, sc.Contestant, len(l),
					ms(quantile(l, 0.5)), ms(quantile(l, 0.99)), ms(l[len(l)-1]), plain(sc.Client), plain(sc.Server))
			}
		}
	}
}

func (sc *score) rateLine(r *row) string {
	setting := ""
	if sc.Width > 0 {
		setting = fmt.Sprint(sc.Width)
	}
	var others []string
	for _, width := range sortedWidths(sc.Others) {
		others = append(others, fmt.Sprintf("%d: %s", width, count(sc.Others[width])))
	}
	if len(others) > 0 {
		setting += " (" + strings.Join(others, ", ") + ")"
	}
	rate, _ := spreadOf(sc.Rate)
	ratio := ""
	if q, ok := spreadOf(ratios(r.Scores[0].Rate, sc.Rate)); ok && sc != r.Scores[0] {
		ratio = fmt.Sprintf("**%.2f** (%.2f–%.2f)", q.Median, q.Min, q.Max)
	}
	return fmt.Sprintf("| %s | %s | %s | **%s** (%s–%s) | %s | %s | %s | %s | %s |", r.Case, sc.Contestant, setting,
		count(rate.Median), count(rate.Min), count(rate.Max), ratio, plain(sc.Client), plain(sc.Server), plain(sc.Allocs), sc.Counted)
}

func sortedWidths(m map[int]float64) []int {
	var all []int
	for w := range m {
		all = append(all, w)
	}
	slices.Sort(all)
	return all
}

// String lists what was counted, by name.
func (c counted) String() string {
	var all []string
	for name, n := range c {
		all = append(all, fmt.Sprintf("%s %.3g", name, n))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// plain is the median of values to three digits; "–" if there are none.
func plain(values []float64) string {
	s, ok := spreadOf(values)
	if !ok {
		return "–"
	}
	if s.Median >= 100 {
		return fmt.Sprintf("%.0f", s.Median)
	}
	return fmt.Sprintf("%.3g", s.Median)
}

// count writes a rate with a comma at the thousands.
func count(n float64) string {
	s := fmt.Sprintf("%.0f", n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func ms(d time.Duration) string { return fmt.Sprintf("%.3g", d.Seconds()*1000) }

// brief is a row for the progress on the terminal.
func brief(r *row) string {
	var all []string
	for _, sc := range r.Scores {
		if l := sc.Latencies; l != nil {
			all = append(all, fmt.Sprintf("%s p50 %s ms, p99 %s ms", sc.Contestant, ms(quantile(l, 0.5)), ms(quantile(l, 0.99))))
		} else if rate, ok := spreadOf(sc.Rate); ok {
			all = append(all, fmt.Sprintf("%s %s/s at %d", sc.Contestant, count(rate.Median), sc.Width))
		}
	}
	return strings.Join(all, "; ")
}
