package testserver

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// shared holds the servers that the tests of this binary share, and what else
// is still running. It is the only state of the package: a test binary has one
// set of servers.
var shared struct {
	once    [len(kinds)]sync.Once
	address [len(kinds)]string
	err     [len(kinds)]error

	mu      sync.Mutex
	running []*server
}

// Main is [Run] with the exit.
func Main(m *testing.M, opts ...goleak.Option) { os.Exit(Run(m, opts...)) }

// Run runs the tests of a binary, stops every server that they started, fails
// the binary if goroutines are left over, and returns its exit code.
func Run(m *testing.M, opts ...goleak.Option) int {
	code := m.Run()
	stopAll()
	if code == 0 {
		if err := goleak.Find(append(opts, lingering()...)...); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines left over after the tests:", err)
			code = 1
		}
	}
	return code
}

// lingering are goroutines that the Redis client leaves behind for five seconds
// when a node has left its cluster, and that end by themselves.
func lingering() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient).redirectOrNew.func1"),
	}
}

// StartShared starts one server of every kind for a whole test run. It returns
// the environment variables that make the tests of other processes use them,
// a function that stops them, and what kept a kind from being started: those
// tests then start their own server, or skip.
func StartShared() (env []string, stop func(), errs []error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range kinds {
		wg.Go(func() {
			s, err := start(kinds[i], false, nil)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			env = append(env, kinds[i].env+"="+s.kind.address(s))
		})
	}
	wg.Wait()
	return env, stopAll, errs
}

// address returns the address of the shared server of a kind, which is started
// on first use unless the environment names one.
func address(t testing.TB, k int) string {
	t.Helper()
	shared.once[k].Do(func() {
		if shared.address[k] = os.Getenv(kinds[k].env); shared.address[k] != "" {
			return
		}
		s, err := start(kinds[k], false, nil)
		if err != nil {
			shared.err[k] = err
			return
		}
		shared.address[k] = kinds[k].address(s)
	})
	require(t, shared.err[k])
	return shared.address[k]
}

// require ends the test if a server could not be started: a skip if its program
// is not installed and this is not CI.
func require(t testing.TB, err error) {
	t.Helper()
	var missing *missingError
	switch {
	case err == nil:
	case errors.As(err, &missing) && os.Getenv("CI") != "true":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// track remembers a server so that stopAll ends it.
func track(s *server) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.running = append(shared.running, s)
}

// stopAll stops every server that this process started and removes its data.
func stopAll() {
	shared.mu.Lock()
	servers := shared.running
	shared.running = nil
	shared.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(s.remove)
	}
	wg.Wait()
}
