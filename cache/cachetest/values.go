package cachetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/spoolq/spool/cache"
)

func absent(t *testing.T, s Subject) {
	wantMany(t, s, nil, "nothing", "never:was")
	wantMany(t, s, nil)
}

func values(t *testing.T, s Subject) {
	long := make([]byte, 20_000)
	for i := range long {
		long[i] = 'a' + byte(i%26)
	}
	in := map[string]any{
		"int": 7, "int64": int64(math.MaxInt64), "negative": int64(math.MinInt64), "zero": 0, "uint8": uint8(200),
		"true": true, "false": false, "empty": "", "text": `quoted "text"; with {braces}`, "utf8": "中文 🚀",
		"digits": "0123", "lines": "a\r\nb\tc", "long": string(long),
	}
	for key, value := range in {
		must(t, s.Put(t.Context(), key, value, time.Minute))
	}
	wantMany(t, s, map[string]string{
		"int": "7", "int64": "9223372036854775807", "negative": "-9223372036854775808", "zero": "0", "uint8": "200",
		"true": "1", "false": "", "empty": "", "text": `quoted "text"; with {braces}`, "utf8": "中文 🚀",
		"digits": "0123", "lines": "a\r\nb\tc", "long": string(long),
	}, "int", "int64", "negative", "zero", "uint8", "true", "false", "empty", "text", "utf8", "digits", "lines", "long", "absent")
}

func keys(t *testing.T, s Subject) {
	names := []string{"a", "a:timer", "a:", "illuminate:queue:restart", "%", "_", "it's", `"q"`, "a/../b", "a\\b", "{x}", "键"}
	want := map[string]string{}
	for i, name := range names {
		must(t, s.Put(t.Context(), name, i, time.Minute))
		want[name] = fmt.Sprint(i)
	}
	wantMany(t, s, want, names...)
	must(t, s.Forget(t.Context(), "a"))
	delete(want, "a")
	wantMany(t, s, want, names...)
}

func refused(t *testing.T, s Subject) {
	for _, value := range []any{nil, 1.5, []byte("x"), []int{1}, struct{}{}, uint64(math.MaxUint64)} {
		if err := s.Put(t.Context(), "k", value, time.Minute); err == nil {
			t.Errorf("Put(%T %v) succeeded", value, value)
		}
		if ok, err := s.Add(t.Context(), "k", value, time.Minute); ok || err == nil {
			t.Errorf("Add(%T %v) = %v, %v", value, value, ok, err)
		}
	}
	wantMany(t, s, nil, "k")
}

func expires(t *testing.T, s Subject) {
	must(t, s.Put(t.Context(), "short", "x", time.Second))
	must(t, s.Put(t.Context(), "long", "y", time.Hour))
	must(t, s.Put(t.Context(), "ever", "z", 0))
	waitGone(t, s, "short")
	wantMany(t, s, map[string]string{"long": "y", "ever": "z"}, "short", "long", "ever")
}

func roundsUp(t *testing.T, s Subject) {
	start := time.Now()                                          // before, for the machine may be busy
	must(t, s.Put(t.Context(), "k", "x", 1001*time.Millisecond)) // two seconds
	waitGone(t, s, "k")
	// Stores that count in whole seconds may end up to a second early.
	if took := time.Since(start); took < 900*time.Millisecond {
		t.Errorf("a ttl of 1.001 s ended after %v: want it rounded up to 2 s", took)
	}
}

func negative(t *testing.T, s Subject) {
	if err := s.Put(t.Context(), "k", 1, -time.Second); err == nil {
		t.Error("Put with a negative ttl succeeded")
	}
	if ok, err := s.Add(t.Context(), "k", 1, -time.Second); ok || err == nil {
		t.Errorf("Add with a negative ttl = %v, %v", ok, err)
	}
	if _, err := s.Increment(t.Context(), "k", 1, -time.Second); err == nil {
		t.Error("Increment with a negative ttl succeeded")
	}
	if ok, err := s.Acquire(t.Context(), "k", "me", -time.Second); ok || err == nil {
		t.Errorf("Acquire with a negative ttl = %v, %v", ok, err)
	}
	wantMany(t, s, nil, "k")
}

func replaces(t *testing.T, s Subject) {
	must(t, s.Put(t.Context(), "k", "first and longer", 0))
	must(t, s.Put(t.Context(), "k", "2", 4*time.Second)) // a busy machine needs a second to read it
	wantMany(t, s, map[string]string{"k": "2"}, "k")
	waitGone(t, s, "k")
	must(t, s.Put(t.Context(), "k", true, 0))
	wantMany(t, s, map[string]string{"k": "1"}, "k")
}

func adds(t *testing.T, s Subject) {
	wantAdd(t, s, "k", 1, time.Minute, true)
	wantAdd(t, s, "k", 2, time.Minute, false)
	wantAdd(t, s, "k", 1, time.Minute, false)
	wantMany(t, s, map[string]string{"k": "1"}, "k")
	wantAdd(t, s, "ever", "x", 0, true)
	wantAdd(t, s, "ever", "y", 0, false)
	wantAdd(t, s, "empty", "", 0, true)
	wantAdd(t, s, "empty", "y", 0, false)
}

func addsExpired(t *testing.T, s Subject) {
	wantAdd(t, s, "k", "old", time.Second, true)
	waitGone(t, s, "k")
	wantAdd(t, s, "k", "new", time.Minute, true)
	wantMany(t, s, map[string]string{"k": "new"}, "k")
}

func addsAtOnce(t *testing.T, s Subject) {
	for round := range 10 {
		won := race(t, func(ctx context.Context, i int) (bool, error) {
			return s.Add(ctx, fmt.Sprint("k", round), 0, time.Minute)
		})
		if won != 1 {
			t.Fatalf("%d of %d adders won, want 1", won, racers)
		}
	}
}

func increments(t *testing.T, s Subject) {
	for _, step := range []struct{ by, want int64 }{{1, 1}, {41, 42}, {-50, -8}, {0, -8}, {8, 0}} {
		wantIncrement(t, s, "n", step.by, time.Minute, step.want)
	}
	wantMany(t, s, map[string]string{"n": "0"}, "n")
	must(t, s.Put(t.Context(), "n", 10, 0))
	wantIncrement(t, s, "n", 5, 0, 15)
	must(t, s.Put(t.Context(), "n", "20", 0)) // PHP counts on from digits
	wantIncrement(t, s, "n", 1, 0, 21)
	wantMany(t, s, map[string]string{"n": "21"}, "n")
	wantIncrement(t, s, "ever", 3, 0, 3)
	wantIncrement(t, s, "ever", 3, 0, 6)
}

func incrementTTL(t *testing.T, s Subject) {
	wantIncrement(t, s, "n", 3, time.Second, 3)
	waitGone(t, s, "n")
	wantIncrement(t, s, "n", 2, time.Minute, 2)
}

func incrementKeepsTTL(t *testing.T, s Subject) {
	must(t, s.Put(t.Context(), "short", 1, 2*time.Second))
	must(t, s.Put(t.Context(), "ever", 1, 0))
	wantIncrement(t, s, "short", 1, time.Hour, 2)
	wantIncrement(t, s, "ever", 1, time.Second, 2)
	waitGone(t, s, "short")
	wantMany(t, s, map[string]string{"ever": "2"}, "short", "ever")
}

func incrementRefuses(t *testing.T, s Subject) {
	for _, value := range []string{"abc", "", "1.5", "9223372036854775808"} {
		must(t, s.Put(t.Context(), "k", value, time.Minute))
		if n, err := s.Increment(t.Context(), "k", 1, time.Minute); err == nil {
			t.Errorf("Increment of %q = %d, want an error", value, n)
		}
		wantMany(t, s, map[string]string{"k": value}, "k")
	}
	var e *cache.NotIntegerError
	must(t, s.Put(t.Context(), "k", "abc", time.Minute))
	if _, err := s.Increment(t.Context(), "k", 1, 0); !errors.As(err, &e) {
		t.Errorf("Increment of a text: got %v, want a *NotIntegerError", err)
	}
	must(t, s.Put(t.Context(), "k", int64(math.MaxInt64), time.Minute))
	if n, err := s.Increment(t.Context(), "k", 1, time.Minute); err == nil {
		t.Errorf("Increment beyond 64 bits = %d, want an error", n)
	}
	wantMany(t, s, map[string]string{"k": "9223372036854775807"}, "k")
}

func incrementsAtOnce(t *testing.T, s Subject) {
	const each = 10
	race(t, func(ctx context.Context, i int) (bool, error) {
		for range each {
			if _, err := s.Increment(ctx, "n", 1, time.Minute); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	wantMany(t, s, map[string]string{"n": fmt.Sprint(racers * each)}, "n")
}

func forgets(t *testing.T, s Subject) {
	must(t, s.Put(t.Context(), "k", 1, 0))
	must(t, s.Forget(t.Context(), "k"))
	must(t, s.Forget(t.Context(), "k"))
	wantMany(t, s, nil, "k")
	wantAdd(t, s, "k", 2, 0, true)
}

func manyKeys(t *testing.T, s Subject) {
	var asked []string
	want := map[string]string{}
	for i := range 300 {
		key := fmt.Sprintf("illuminate:queue:paused:redis:q%d", i)
		asked = append(asked, key, key) // asked twice: answered once
		if i%3 == 0 {
			must(t, s.Put(t.Context(), key, i, 0))
			want[key] = fmt.Sprint(i)
		}
	}
	wantMany(t, s, want, asked...)
}

func limiter(t *testing.T, s Subject) {
	const key, decay = "limit", 2 * time.Second
	hit := func() int64 {
		_, err := s.Add(t.Context(), key+":timer", time.Now().Add(decay).Unix(), decay)
		must(t, err)
		_, err = s.Add(t.Context(), key, 0, decay)
		must(t, err)
		n, err := s.Increment(t.Context(), key, 1, decay)
		must(t, err)
		return n
	}
	for want := int64(1); want <= 3; want++ {
		if got := hit(); got != want {
			t.Fatalf("hit = %d, want %d", got, want)
		}
	}
	waitGone(t, s, key)
	waitGone(t, s, key+":timer")
	if got := hit(); got != 1 {
		t.Errorf("hit after the decay = %d, want 1", got)
	}
}
