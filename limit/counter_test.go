package limit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
)

// whole is a cache store with its locks.
type whole interface {
	cache.Store
	cache.Locker
}

// stores are those of this module that need no server.
func stores(t *testing.T) map[string]whole {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "cache.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := schema.Create(t.Context(), db, schema.Names{Cache: "cache", CacheLocks: "cache_locks"}); err != nil {
		t.Fatal(err)
	}
	return map[string]whole{"memory": cache.NewMemory(), "file": cache.NewFile(t.TempDir(), nil), "sqlite": cache.NewSQL(db, nil)}
}

func mustTake(t *testing.T, c Counter, limits ...Limit) time.Duration {
	t.Helper()
	wait, err := c.Take(t.Context(), limits...)
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

func TestCounter(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			c := NewCounter(store)
			wide, tight := Limit{Max: 5, Per: time.Hour, Key: "wide"}, Limit{Max: 2, Per: time.Hour, Key: "tight"}
			for range 2 {
				if wait := mustTake(t, c, wide, tight); wait != 0 {
					t.Fatalf("refused for %v", wait)
				}
			}
			for range 9 { // none of these counts towards the wide one
				if wait := mustTake(t, c, wide, tight); wait < 59*time.Minute || wait > time.Hour {
					t.Errorf("used up for %v", wait)
				}
			}
			for n := range 4 {
				if wait := mustTake(t, c, wide); (wait == 0) != (n < 3) {
					t.Errorf("%d more: %v", n+1, wait)
				}
			}
			if wait, err := c.Wait(t.Context(), tight); wait == 0 || err != nil {
				t.Errorf("to look: %v, %v", wait, err)
			}
			if err := c.Clear(t.Context(), "tight"); err != nil {
				t.Fatal(err)
			}
			if wait := mustTake(t, c, tight); wait != 0 {
				t.Errorf("cleared, but refused for %v", wait)
			}
			if wait := mustTake(t, c, Limit{Max: 0, Per: time.Minute, Key: "never"}); wait != time.Minute {
				t.Errorf("a limit of zero: %v", wait)
			}
			if values, err := store.Many(t.Context(), "never", "never:timer"); len(values) > 0 || err != nil {
				t.Errorf("a limit of zero is counted: %v, %v", values, err)
			}
		})
	}
}

func TestCounterManyAtOnce(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			c := NewCounter(store)
			var granted atomic.Int32
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					for range 3 {
						wait, err := c.Take(t.Context(), Limit{Max: 1000, Per: time.Hour, Key: "wide"}, Limit{Max: 7, Per: time.Hour, Key: "tight"})
						if err != nil {
							t.Error(err)
						} else if wait == 0 {
							granted.Add(1)
						}
					}
				})
			}
			wg.Wait()
			if n := granted.Load(); n == 0 || n > 7 {
				t.Errorf("%d were let through", n)
			}
			values, err := store.Many(t.Context(), "wide", "tight")
			if want := fmt.Sprint(granted.Load()); values["wide"] != want || values["tight"] != want || err != nil {
				t.Errorf("counted are %v after %s, %v", values, want, err)
			}
		})
	}
}

func TestCounterWindowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCounter(cache.NewMemory())
		l := Limit{Max: 2, Per: 10 * time.Second, Key: "x"}
		mustTake(t, c, l)
		time.Sleep(4 * time.Second)
		mustTake(t, c, l)
		wait := mustTake(t, c, l)
		if wait < 5*time.Second || wait > 6*time.Second {
			t.Errorf("used up for %v", wait)
		}
		time.Sleep(wait)
		for n := range 3 {
			if again := mustTake(t, c, l); (again == 0) != (n < 2) {
				t.Errorf("%d in the next window: %v", n+1, again)
			}
		}
	})
}

// dying is a store whose process ends at one of its calls, before or after that
// has taken effect.
type dying struct {
	whole
	left  int
	after bool
}

var errDead = errors.New("dead")

func (d *dying) call(do func() error) error {
	d.left--
	if d.left < 0 || d.left == 0 && !d.after {
		return errDead
	}
	err := do()
	if d.left == 0 {
		return errDead
	}
	return err
}

func (d *dying) Many(ctx context.Context, keys ...string) (v map[string]string, err error) {
	err = d.call(func() error { v, err = d.whole.Many(ctx, keys...); return err })
	return v, err
}

func (d *dying) Add(ctx context.Context, key string, value any, ttl time.Duration) (ok bool, err error) {
	err = d.call(func() error { ok, err = d.whole.Add(ctx, key, value, ttl); return err })
	return ok, err
}

func (d *dying) Increment(ctx context.Context, key string, by int64, ttl time.Duration) (n int64, err error) {
	err = d.call(func() error { n, err = d.whole.Increment(ctx, key, by, ttl); return err })
	return n, err
}

func (d *dying) Forget(ctx context.Context, key string) error {
	return d.call(func() error { return d.whole.Forget(ctx, key) })
}

// Whichever call a process dies at, no window ever has room for more, and the
// next one has room for all.
func TestCounterCrashes(t *testing.T) {
	for left := 1; left <= 8; left++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("at call %d, after it %v", left, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := cache.NewMemory()
					a, b := Limit{Max: 3, Per: time.Minute, Key: "a"}, Limit{Max: 3, Per: time.Minute, Key: "b"}
					granted := 0
					if wait, err := NewCounter(&dying{whole: store, left: left, after: after}).Take(t.Context(), a, b); err == nil && wait == 0 {
						granted++
					}
					c := NewCounter(store)
					for range 5 {
						if mustTake(t, c, a, b) == 0 {
							granted++
						}
					}
					if granted > 3 {
						t.Errorf("%d were let through in a window", granted)
					}
					time.Sleep(time.Minute)
					granted = 0
					for range 5 {
						if mustTake(t, c, a, b) == 0 {
							granted++
						}
					}
					if granted != 3 {
						t.Errorf("%d were let through in the next window", granted)
					}
				})
			})
		}
	}
}

// flaky is a store one of whose increments fails before it has taken effect.
type flaky struct {
	whole
	left int
}

func (f *flaky) Increment(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	if f.left--; f.left == 0 {
		return 0, errDead
	}
	return f.whole.Increment(ctx, key, by, ttl)
}

// What was not counted is not taken back from those who were.
func TestCounterFailsAndGoesOn(t *testing.T) {
	strict, wide := Limit{Max: 3, Per: time.Hour, Key: "strict"}, Limit{Max: 100, Per: time.Hour, Key: "wide"}
	for _, limits := range [][]Limit{{strict}, {wide, strict}} {
		store := cache.NewMemory()
		c := NewCounter(store)
		granted := 0
		for range 2 {
			if mustTake(t, c, limits...) == 0 {
				granted++
			}
		}
		if _, err := NewCounter(&flaky{whole: store, left: len(limits)}).Take(t.Context(), limits...); !errors.Is(err, errDead) {
			t.Fatal(err)
		}
		for range 5 {
			if mustTake(t, c, limits...) == 0 {
				granted++
			}
		}
		if granted != 3 {
			t.Errorf("with %d limits %d were let through, not 3", len(limits), granted)
		}
		if values, err := store.Many(t.Context(), wide.Key); err != nil || len(limits) > 1 && values[wide.Key] != "3" {
			t.Errorf("the other limit has counted %v, %v", values, err)
		}
	}
}

// What others wrote: a clock far ahead or behind, no number, a window that was
// closed under a full count.
func TestCounterMeetsStrangeValues(t *testing.T) {
	for name, tt := range map[string]struct {
		count, until any
		wait         time.Duration
	}{
		"a clock ahead":            {3, time.Now().Add(9 * time.Hour).Unix(), time.Minute},
		"a clock behind":           {3, time.Now().Add(-9 * time.Hour).Unix(), time.Second},
		"no time":                  {3, "whenever", time.Second},
		"no number":                {"many", time.Now().Add(time.Minute).Unix(), 0},
		"a count without a window": {99, nil, 0},
		"a window without a count": {nil, time.Now().Add(time.Minute).Unix(), 0},
	} {
		t.Run(name, func(t *testing.T) {
			store := cache.NewMemory()
			for key, v := range map[string]any{"x": tt.count, "x:timer": tt.until} {
				if v == nil {
					continue
				}
				if err := store.Put(t.Context(), key, v, time.Minute); err != nil {
					t.Fatal(err)
				}
			}
			c := NewCounter(store)
			if wait := mustTake(t, c, Limit{Max: 3, Per: time.Minute, Key: "x"}); wait != tt.wait {
				t.Errorf("used up for %v, want %v", wait, tt.wait)
			}
		})
	}
}

// Keys are those of PHP's rate limiter.
func TestCleanKey(t *testing.T) {
	php, err := exec.LookPath("php")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("php is not installed")
		}
		t.Skip("php is not installed")
	}
	keys := []string{"", "plain:7", "é", `Ünïcödé & <b> "q" 'a'`, "鞋 中文", "a&amp;b", "½²³∴", "\u00a0\u200e-\u00ad"}
	for _, letters := range entities {
		keys = append(keys, letters)
	}
	const script = `foreach (array_slice($argv, 1) as $k) echo bin2hex(preg_replace('/&([a-z])[a-z]+;/i', '$1', htmlentities($k))), "\n";`
	out, err := exec.CommandContext(t.Context(), php, append([]string{"-r", script, "--"}, keys...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	for i, key := range keys {
		if got := fmt.Sprintf("%x", cleanKey(key)); got != want[i] {
			t.Errorf("%q becomes %q (%s), in PHP %s", key, cleanKey(key), got, want[i])
		}
	}
	if len(want) != len(keys) || !slices.Contains(keys, "鞋 中文") {
		t.Errorf("%d of %d keys were compared", len(want), len(keys))
	}
}
