package cli

import (
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// newFlags parses flags of queue:work and returns what they set; the last of a
// key wins, as in the settings.
func newFlags(t *testing.T, args []string) map[string]string {
	t.Helper()
	f := pflag.NewFlagSet("work", pflag.ContinueOnError)
	keys := workerFlags(f)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, flag := range keys.given(f) {
		got[flag.Key] = flag.Value
	}
	return got
}

func TestSecondsFlag(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90": 90 * time.Second, "1.5": 1500 * time.Millisecond, "10m": 10 * time.Minute, "0": 0,
	} {
		var d secondsFlag
		if err := d.Set(text); err != nil || time.Duration(d) != want {
			t.Errorf("%s is %v, %v; want %v", text, time.Duration(d), err, want)
		}
	}
	for _, text := range []string{"", "soon", "-1", "-5m", "1e30", "NaN"} {
		var d secondsFlag
		if err := d.Set(text); err == nil {
			t.Errorf("%q is taken for %v", text, time.Duration(d))
		}
	}
}

// TestDaemonFlags are the flags that other systems' supervisor files carry.
func TestDaemonFlags(t *testing.T) {
	got := newFlags(t, []string{"--queue=high,default", "--tries=3", "--timeout=60", "--sleep=0.5", "--memory=256", "--force", "--stop-when-empty"})
	for key, want := range map[string]string{
		"worker.queue": "high,default", "worker.tries": "3", "worker.timeout": "60", "worker.sleep": "0.5",
		"worker.memory": "256", "worker.force": "true", "worker.stop_when_empty": "true",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if len(got) != 7 {
		t.Errorf("flags that were not given set something: %v", got)
	}
}
