package connect

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/external"
	"github.com/spoolq/spool/laravel"
)

// newFormat returns the payload format of the configured application.
func newFormat(cfg *config.Config) (spool.Format, error) {
	version := cfg.Laravel.Major
	if version > 0 {
		version = max(version, 8) // what 5.6 to 7 read is what 8 wrote
	}
	return laravel.New(&laravel.Options{
		Version: version, Key: cfg.App.Key, PreviousKeys: cfg.App.PreviousKeys, Cipher: cfg.App.Cipher,
		PHPConnection: cfg.PHPConnection, PHPQueue: cfg.PHPQueue,
	})
}

// addJobs has the mux ask the configured commands and URLs for names that it
// has no handler for.
func addJobs(mux *spool.Mux, jobs []config.Job, output func(*spool.Job) (stdout, stderr io.WriteCloser)) error {
	if len(jobs) == 0 {
		return nil
	}
	routes := make([]external.Route, len(jobs))
	for i, j := range jobs {
		var env []string
		for _, name := range slices.Sorted(maps.Keys(j.Env)) {
			env = append(env, name+"="+j.Env[name])
		}
		routes[i] = external.Route{
			Patterns: j.Names, Command: j.Command, Shell: j.Shell, URL: j.URL,
			Policy: spool.Policy{
				Tries: j.Tries, MaxExceptions: j.MaxExceptions, Timeout: j.Timeout,
				Backoff: j.Backoff, FailOnTimeout: j.FailOnTimeout,
			},
			CommandOptions: external.CommandOptions{Dir: j.Dir, Env: env, Output: output},
			URLOptions:     external.URLOptions{Headers: j.Headers},
		}
	}
	find, err := external.Routes(routes)
	if err != nil {
		return err
	}
	mux.Fallback(find)
	return nil
}

// registered stands for all names that have a handler in the setting worker.only.
const registered = "registered"

// only returns the names of the jobs that a worker takes; nil means all.
func (s *Set) only() ([]string, error) {
	var names []string
	for _, name := range s.Config.Worker.Only {
		if name != registered {
			names = append(names, name)
			continue
		}
		names = append(names, s.Mux.Names()...)
		for _, j := range s.Config.Jobs {
			for _, pattern := range j.Names {
				if strings.Contains(pattern, "*") {
					return nil, fmt.Errorf("worker.only: %s can't stand for the names that %q under jobs: matches: write them out", registered, pattern)
				}
				names = append(names, pattern)
			}
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("worker.only: %s, but no job has a handler here", registered)
		}
	}
	return names, nil
}
