package config

import "fmt"

// Kind is what sort of place a value came from.
type Kind string

// The places a value may come from, the strongest first.
const (
	FromFlag    Kind = "flag"
	FromEnv     Kind = "env"
	FromFile    Kind = "file"
	FromApp     Kind = "application" // it said so itself, see [FromLaravel]
	FromDefault Kind = "default"
)

// Source says where a value came from.
type Source struct {
	Kind Kind
	// Name is the flag (--timeout), the variable (REDIS_HOST), the key of PHP's
	// configuration, or whose default it is (Laravel 11).
	Name string
	// File and Line are where it is written; File is empty for flags, variables
	// of the process and defaults.
	File string
	Line int
}

// String renders the source for people: "flag --timeout", "env REDIS_HOST
// (.env:12)", "spool.yaml:7", "default (Laravel 11)".
func (s Source) String() string {
	at := s.File
	if s.Line > 0 {
		at = fmt.Sprintf("%s:%d", s.File, s.Line)
	}
	switch {
	case s.Kind == FromFile && s.Name != "":
		return at + " (" + s.Name + ")"
	case s.Kind == FromFile:
		return at
	case s.Kind == FromEnv && at != "":
		return "env " + s.Name + " (" + at + ")"
	case s.Kind == FromApp:
		return "config('" + s.Name + "')"
	case s.Kind == FromDefault && s.Name != "":
		return "default (" + s.Name + ")"
	case s.Kind == FromDefault:
		return "default"
	}
	return string(s.Kind) + " " + s.Name
}

// Level is how bad a finding is.
type Level string

// The levels of a finding.
const (
	// Refuse means that a worker must not start.
	Refuse Level = "refuse"
	// Warn means that an operator should know.
	Warn Level = "warn"
)

// Finding is one thing about the settings that can hurt.
type Finding struct {
	Level   Level
	Key     string // the setting it is about; empty if it is about no single one
	Message string // what, and how to mend it; no secrets
	Source  Source // where the setting comes from; may be zero
}

// String renders the finding as one line.
func (f Finding) String() string {
	s := string(f.Level) + ": "
	if f.Key != "" {
		s += f.Key + ": "
	}
	s += f.Message
	if f.Source != (Source{}) {
		s += " [" + f.Source.String() + "]"
	}
	return s
}

// Error is one setting that is wrong. Load joins all it finds with
// [errors.Join].
type Error struct {
	Source Source
	Key    string // may be empty
	Err    string // what is wrong and how to mend it; no secrets
}

func (e *Error) Error() string {
	s := ""
	if e.Source != (Source{}) {
		s = e.Source.String() + ": "
	}
	if e.Key != "" {
		s += e.Key + ": "
	}
	return s + e.Err
}

// Setting is one value in force, as it is shown to people.
type Setting struct {
	Key    string
	Value  string // secrets masked
	Source Source
}
