package demo

import "fmt"

// check compares what was to become of the jobs with what did. stands are the
// uuids of the jobs that have a record of their failure.
func (l *ledger) check(recorded bool, stands func(uuid string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for uuid, a := range l.jobs {
		text := a.text(uuid, a.name)
		failed := a.fails > 0
		if a.fate.retry != nil {
			failed = a.fails > 1
		}
		switch {
		case !a.ended && a.runs == 0:
			l.problems.add("%s was lost: it never ran", text)
		case !a.ended:
			l.problems.add("%s was lost: it ran %s and never came to an end", text, times(a.runs))
		case a.adopted:
		case a.runs != a.fate.runs:
			l.problems.add("%s ran %s instead of %s", text, times(a.runs), times(a.fate.runs))
		case a.fails != a.fate.fails:
			l.problems.add("%s failed for good %s instead of %s", text, times(a.fails), times(a.fate.fails))
		}
		switch {
		case !recorded || !a.ended:
		case failed && !stands(uuid):
			l.problems.add("%s has failed, and there is no record of it", text)
		case !failed && stands(uuid):
			l.problems.add("%s is recorded as failed, and has not", text)
		}
	}
	for _, c := range l.counts() {
		if c.Pushed+c.Adopted != c.Processed+c.Failed {
			l.problems.add("%s: %d jobs went in, %d were processed and %d failed", c.Queue, c.Pushed+c.Adopted, c.Processed, c.Failed)
		}
	}
}

// problem enters what else doesn't add up.
func (l *ledger) problem(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problems.add(format, args...)
}

// text names a job in a message.
func (a *account) text(uuid, name string) string {
	if name == "" {
		name = "a job"
	}
	return fmt.Sprintf("%s on %s (%s)", name, a.queue, uuid)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// problems are sentences about what doesn't add up: the first of them, and how
// many there are.
type problems struct {
	first []string
	n     int
}

const maxProblems = 20

func (p *problems) add(format string, args ...any) {
	if p.n++; p.n <= maxProblems {
		p.first = append(p.first, fmt.Sprintf(format, args...))
	}
}
