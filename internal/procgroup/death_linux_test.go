package procgroup

import (
	"fmt"
	"os"
	"testing"
	"time"
)

const diesWithUs = true

func TestParseStat(t *testing.T) {
	line := "42 (a) b (c) S 7 8 9 0 -1 4194560 1 2 3 4 150 50 20 30 20 0 1 0 12345 1000000 300 18446744073709551615 1"
	want := proc{pid: 42, ppid: 7, pgid: 8, session: 9, cpu: 2500 * time.Millisecond, memory: 300 * int64(os.Getpagesize())}
	if got, ok := parseStat([]byte(line)); !ok || got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, bad := range []string{"", "1 (a", "x (a) S 1 2", fmt.Sprint("y ", line)} {
		if got, ok := parseStat([]byte(bad)); ok {
			t.Errorf("%q read as %+v", bad, got)
		}
	}
}

func TestNoDescriptorsLeak(t *testing.T) {
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	run := func(n int) {
		for range n {
			if _, err := Run(t.Context(), sh("exit 0")); err != nil {
				t.Fatal(err)
			}
			if _, err := Start(&Spec{Path: "/no/such"}); err == nil {
				t.Fatal("started")
			}
		}
	}
	run(2) // the runtime opens some of its own
	before := count()
	run(20)
	if after := count(); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
