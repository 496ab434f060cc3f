// Package think is the payload format of think-queue, the job queue of
// ThinkPHP, so that Go and PHP share its queues as producers and as workers.
//
// think-queue has changed what it stores several times. A [Profile] is one of
// the three forms that are in use; it must be said which, because two of them
// look alike and count attempts differently. The keys and tables that belong to
// a profile are the drivers' (redisqueue.ThinkQueue3, sqlqueue.ThinkQueue3 and
// their like); this package is what stands in the payload:
//
//	format, err := think.New(&think.Options{Profile: think.TQ3})
//
// Jobs are known by PHP's names, class or class@method, in full or in the short
// forms that the version understands: a handler of "Mail@send" serves jobs
// pushed as "app\job\Mail@send", see [Format.ResolveName]. An object that PHP has
// serialized is never run: [Format.Decode] says so, and a worker puts it back.
//
// The sources of the format are what the released versions of think-queue wrote
// and did, captured in testdata.
//
// It imports package spool, and never a driver.
package think

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spoolq/spool"
)

// Profile is what a range of think-queue's versions stores.
type Profile string

// The profiles.
const (
	// TQ1 is think-queue 1.1 to 2.0 (ThinkPHP 5): keys queues:NAME, attempts begin
	// at 1 and rise when a job is released or its reservation runs out.
	TQ1 Profile = "tq1"
	// TQ3Legacy is think-queue 3.0.2 to 3.0.4 (ThinkPHP 6): keys queues:NAME,
	// attempts begin at 0 and rise when a job is reserved.
	TQ3Legacy Profile = "tq3-legacy"
	// TQ3 is think-queue 3.0.5 and later (ThinkPHP 6 and 8): as TQ3Legacy, keys
	// {queues:NAME}.
	TQ3 Profile = "tq3"
)

// Profiles returns all profiles, the oldest first.
func Profiles() []Profile { return []Profile{TQ1, TQ3Legacy, TQ3} }

// HandlerJob is the "job" of every object that was pushed.
const HandlerJob = `think\queue\CallQueuedHandler@call`

// Options are the options of [New].
type Options struct {
	// Profile says which form is stored. Required.
	Profile Profile
	// Version is the version of think-queue beside us, e.g. "3.0.4", as far as
	// short names depend on it; "" means the newest of the profile. A version
	// that isn't one of the profile's is refused.
	Version string
	// Namespace is the application's namespace, which short names are resolved
	// in (app_namespace); "" means "app".
	Namespace string
}

// Format is the payload format of think-queue. It is safe for concurrent use.
type Format struct {
	profile   Profile
	namespace string
	modules   bool // index/Job1 names a module
	studly    bool // foo_bar names FooBar
}

var (
	_ spool.Format       = (*Format)(nil)
	_ spool.NameResolver = (*Format)(nil)
	_ spool.KeyNamer     = (*Format)(nil)
	_ spool.DefaultNamer = (*Format)(nil)
	_ spool.FormatNamer  = (*Format)(nil)
)

// New returns the format of a profile. The error names the option that can't be
// used, and how to mend it.
func New(opts *Options) (*Format, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if !slices.Contains(Profiles(), o.Profile) {
		return nil, fmt.Errorf("think: the profile %q is unknown: it is tq1 (think-queue 1.1 to 2.0), tq3-legacy (3.0.2 to 3.0.4) or tq3 (3.0.5 and later)", o.Profile)
	}
	f := &Format{profile: o.Profile, namespace: strings.Trim(o.Namespace, `\`)}
	if f.namespace == "" {
		f.namespace = "app"
	}
	if o.Version == "" {
		f.modules, f.studly = o.Profile != TQ3, o.Profile == TQ3
		return f, nil
	}
	v, err := parseVersion(o.Version)
	if err != nil {
		return nil, err
	}
	if of := v.profile(); of != o.Profile {
		if of == "" {
			return nil, fmt.Errorf("think: think-queue %s is not supported: 1.1 to 2.0 and 3.0.2 and later are", o.Version)
		}
		return nil, fmt.Errorf("think: think-queue %s stores what the profile %s says, not %s: with the wrong one attempts are miscounted, or no job is found; set profile to %s, or correct the version", o.Version, of, o.Profile, of)
	}
	f.studly = v.since(3, 0, 7)
	f.modules = !f.studly
	return f, nil
}

// Profile returns the profile the format was made for.
func (f *Format) Profile() Profile { return f.profile }

// FormatName is tq1, or tq3 for both profiles of version 3: they count alike, and
// where their keys differ they don't meet.
func (f *Format) FormatName() string {
	if f.profile == TQ1 {
		return string(TQ1)
	}
	return string(TQ3)
}

// first is the number of attempts in a new job's payload.
func (f *Format) first() string {
	if f.profile == TQ1 {
		return "1"
	}
	return "0"
}

// version is a version of think-queue.
type version [3]int

func parseVersion(s string) (v version, err error) {
	parts := strings.Split(strings.TrimPrefix(s, "v"), ".")
	if len(parts) < 2 || len(parts) > 3 {
		return v, fmt.Errorf("think: %q is no version of think-queue: write e.g. 3.0.9", s)
	}
	for i, p := range parts {
		if v[i], err = strconv.Atoi(p); err != nil || v[i] < 0 {
			return v, fmt.Errorf("think: %q is no version of think-queue: write e.g. 3.0.9", s)
		}
	}
	if len(parts) == 2 && v[0] == 3 {
		v[2] = 9 // "3.0" is its newest release
	}
	return v, nil
}

func (v version) since(major, minor, patch int) bool {
	return slices.Compare(v[:], []int{major, minor, patch}) >= 0
}

// profile returns the profile of a version, "" if there is none.
func (v version) profile() Profile {
	switch {
	case v.since(3, 0, 5):
		return TQ3
	case v.since(3, 0, 2):
		return TQ3Legacy
	case v.since(2, 1, 0): // 3.0.0 and 3.0.1 lose every job they take from Redis
		return ""
	case v.since(1, 1, 0):
		return TQ1
	}
	return ""
}

// ProfileOf returns the profile that a version of think-queue, e.g. "3.0.9",
// stores, or an error for versions that Spool can't share queues with.
func ProfileOf(v string) (Profile, error) {
	parsed, err := parseVersion(v)
	if err != nil {
		return "", err
	}
	if p := parsed.profile(); p != "" {
		return p, nil
	}
	return "", fmt.Errorf("think: think-queue %s is not supported: 1.1 to 2.0 and 3.0.2 and later are", v)
}

// NamesDefault implements [spool.DefaultNamer]: to PHP "0" is as good as nothing,
// so all versions push to and pop from the default queue by that name.
func (f *Format) NamesDefault(queue string) bool { return queue == "0" }

// Keys implements [spool.KeyNamer]: see the function [Keys].
func (f *Format) Keys() spool.Keys { return Keys() }

// Keys are the names under which workers find each other in the application's
// cache. Restart is think-queue's own, in all its versions. ThinkPHP knows
// neither pause nor maintenance: those are Laravel's names, which only Spool's
// workers heed there.
func Keys() spool.Keys {
	k := spool.LaravelKeys()
	k.Restart = "think:queue:restart"
	return k
}
