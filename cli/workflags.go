package cli

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/spoolq/spool/config"
)

// flagKeys ties flags to the settings they override. Their defaults are the
// settings' own, so that a file or the environment can set them too.
type flagKeys []flagKey

type flagKey struct{ name, key, kind, usage string }

// workerFlags adds the flags of queue:work, or those of them that are named.
// Durations are seconds, as in Laravel, or have a unit (90, 1.5, 90s, 2m).
func workerFlags(f *pflag.FlagSet, names ...string) flagKeys {
	keys := flagKeys{
		{"name", "worker.name", "NAME", "name of the worker"},
		{"queue", "worker.queue", "A,B", "queues in order of priority"},
		{"concurrency", "worker.concurrency", "N", "jobs at a time"},
		{"tries", "worker.tries", "N", "attempts of a job; 0: any number"},
		{"timeout", "worker.timeout", "SECONDS", "how long a job may run; 0: any time"},
		{"backoff", "worker.backoff", "A,B", "seconds to wait before the next attempts"},
		{"sleep", "worker.sleep", "SECONDS", "longest wait between looks at an empty queue"},
		{"rest", "worker.rest", "SECONDS", "pause after each job"},
		{"memory", "worker.memory", "MB", "exit with code 12 at so many megabytes; 0: never"},
		{"max-jobs", "worker.max_jobs", "N", "exit after so many jobs"},
		{"max-time", "worker.max_time", "SECONDS", "exit after so long"},
		{"stop-when-empty", "worker.stop_when_empty", "", "exit at the first look that finds no job"},
		{"stop-when-empty-for", "worker.stop_when_empty_for", "SECONDS", "exit after so long without a job"},
		{"force", "worker.force", "", "work in maintenance mode too"},
		{"grace", "worker.grace", "SECONDS", "how long running jobs may go on after SIGTERM"},
		{"max-stuck", "worker.max_stuck", "N", "slots to replace whose handler never returned"},
		{"only", "worker.only", "A,B", "names of the jobs to take, or registered: all that have a handler"},
		{"fail-unknown", "worker.fail_unknown", "", "fail jobs without a handler instead of putting them back"},
		{"exclusive-env", "worker.exclusive_env", "", "refuse to start beside workers of another application or environment on these queues"},
		{"json", "worker.json", "", "print one JSON object for each line"},
	}
	keys = slices.DeleteFunc(keys, func(k flagKey) bool { return len(names) > 0 && !slices.Contains(names, k.name) })
	for _, k := range keys {
		if k.kind == "" {
			f.Bool(k.name, false, k.usage)
			continue
		}
		f.Var(&textFlag{kind: k.kind}, k.name, k.usage)
	}
	// think-queue's and older Laravel's name of the wait after an exception.
	f.Var(&textFlag{kind: "SECONDS"}, "delay", "deprecated: use --backoff")
	_ = f.MarkHidden("delay")
	return keys
}

// textFlag is a flag whose value is text here and gets its type elsewhere.
type textFlag struct {
	to   *string // where it goes; nil: nowhere else
	text string
	kind string // what help calls it
}

// String implements pflag.Value.
func (t *textFlag) String() string { return t.text }

// Type implements pflag.Value.
func (t *textFlag) Type() string { return t.kind }

// Set implements pflag.Value.
func (t *textFlag) Set(s string) error {
	t.text = s
	if t.to != nil {
		*t.to = s
	}
	return nil
}

// given returns the flags that were set, as settings. Of --backoff and the
// old --delay the larger counts, as in Laravel.
func (k flagKeys) given(f *pflag.FlagSet) []config.Flag {
	var flags []config.Flag
	for _, key := range k {
		if fl := f.Lookup(key.name); fl.Changed {
			flags = append(flags, config.Flag{Name: "--" + key.name, Key: key.key, Value: fl.Value.String()})
		}
	}
	delay, backoff := f.Lookup("delay"), f.Lookup("backoff")
	if delay.Changed && (!backoff.Changed || larger(delay.Value.String(), backoff.Value.String())) {
		flags = append(flags, config.Flag{Name: "--delay", Key: "worker.backoff", Value: delay.Value.String()})
	}
	return flags
}

// larger says whether both are plain numbers and a is the larger one.
func larger(a, b string) bool {
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err1 == nil && err2 == nil && x > y
}

// secondsFlag is a flag with a time: seconds, or with a unit.
type secondsFlag time.Duration

// String implements pflag.Value.
func (d *secondsFlag) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

// Type implements pflag.Value.
func (d *secondsFlag) Type() string { return "SECONDS" }

// Set implements pflag.Value.
func (d *secondsFlag) Set(s string) error {
	v, err := time.ParseDuration(s)
	if n, numErr := strconv.ParseFloat(s, 64); numErr == nil && n >= 0 && n < 1e9 {
		v, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || v < 0 {
		return errors.New("want seconds, or a time with its unit as in 10m")
	}
	*d = secondsFlag(v)
	return nil
}
