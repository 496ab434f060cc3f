package external

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spoolq/spool"
)

// Route says what runs the jobs of some names. Exactly one of Command, Shell
// and URL is set.
type Route struct {
	// Patterns are names of jobs, compared letter by letter; * stands for any
	// characters, none included. All else, such as the backslash of a PHP class,
	// stands for itself.
	Patterns []string
	Command  []string // see [Command]
	Shell    string   // see [Shell]
	URL      string   // see [URL]
	// Policy is for jobs that don't say themselves.
	Policy spool.Policy
	// CommandOptions go with Command and Shell, URLOptions with URL.
	CommandOptions CommandOptions
	URLOptions     URLOptions
}

// Routes returns a function for [spool.Mux.Fallback] that finds the handler
// of a name: that of the first route with a pattern that matches. A route that
// can't work is an error that names it by its place in the list, from 1. The
// function is safe for concurrent use.
func Routes(routes []Route) (func(name string) *spool.Handler, error) {
	type compiled struct {
		pattern string
		handler spool.Handler
	}
	var table []compiled
	seen := make(map[string]int)
	for i, r := range routes {
		run, err := r.handler()
		if err == nil && len(r.Patterns) == 0 {
			err = errors.New("it has no name: name the jobs it is for, or * for all")
		}
		if err != nil {
			return nil, fmt.Errorf("job handler %d: %w", i+1, err)
		}
		for _, p := range r.Patterns {
			if first, twice := seen[p]; p == "" || twice {
				if p == "" {
					return nil, fmt.Errorf("job handler %d: a name is empty: write * for all jobs", i+1)
				}
				return nil, fmt.Errorf("job handler %d: %q is already taken by job handler %d", i+1, p, first)
			}
			seen[p] = i + 1
			table = append(table, compiled{p, spool.Handler{Policy: r.Policy, Run: run}})
		}
	}
	return func(name string) *spool.Handler {
		for i := range table {
			if Match(table[i].pattern, name) {
				h := table[i].handler
				h.Name = name
				return &h
			}
		}
		return nil
	}, nil
}

func (r *Route) handler() (spool.HandlerFunc, error) {
	set := 0
	for _, is := range []bool{len(r.Command) > 0, r.Shell != "", r.URL != ""} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return nil, errors.New("set exactly one of command, shell and url")
	case r.Shell != "":
		return Shell(r.Shell, &r.CommandOptions)
	case r.URL != "":
		return URL(r.URL, &r.URLOptions)
	}
	return Command(r.Command, &r.CommandOptions)
}

// Match says whether a name fits a pattern in which * stands for any
// characters.
func Match(pattern, name string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if !strings.HasPrefix(name, head) {
		return false
	}
	name = name[len(head):]
	for {
		// The leftmost place of each middle piece leaves the most to the rest.
		var piece string
		piece, rest, star = strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(name, piece)
		}
		at := strings.Index(name, piece)
		if at < 0 {
			return false
		}
		name = name[at+len(piece):]
	}
}
