package laravel_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/laravel"
)

// The names of locks and counters are those of each version of Laravel.
func TestKeysByVersion(t *testing.T) {
	const class, display, id = `App\Jobs\Sync`, "Sync of 鞋", "7"
	hashed := phpHash(t, "xxh128", display)
	for _, c := range []struct {
		version                    int
		unique, named, overlap     string
		throttled, throttledByName string
	}{
		{8, `laravel_unique_job:App\Jobs\Sync7`, `laravel_unique_job:App\Jobs\Sync7`, `laravel-queue-overlap:App\Jobs\Sync:7`,
			"laravel_throttles_exceptions:" + phpHash(t, "md5", class), "laravel_throttles_exceptions:" + phpHash(t, "md5", class)},
		{11, `laravel_unique_job:App\Jobs\Sync:7`, `laravel_unique_job:App\Jobs\Sync:7`, `laravel-queue-overlap:App\Jobs\Sync:7`,
			"laravel_throttles_exceptions:" + phpHash(t, "md5", class), "laravel_throttles_exceptions:" + phpHash(t, "md5", class)},
		{12, `laravel_unique_job:App\Jobs\Sync:7`, "laravel_unique_job:" + hashed + ":7", "laravel-queue-overlap:" + hashed + ":7",
			"laravel_throttles_exceptions:" + phpHash(t, "xxh128", class), "laravel_throttles_exceptions:" + hashed},
		{13, `laravel_unique_job:App\Jobs\Sync:7`, "laravel_unique_job:" + hashed + ":7", "laravel-queue-overlap:" + hashed + ":7",
			"laravel_throttles_exceptions:" + phpHash(t, "xxh128", class), "laravel_throttles_exceptions:" + hashed},
	} {
		f, err := laravel.New(&laravel.Options{Version: c.version})
		if err != nil {
			t.Fatal(err)
		}
		k := spool.KeysOf(f)
		for _, x := range [][2]string{
			{k.Unique(class, class, id), c.unique}, {k.Unique(class, display, id), c.named}, {k.Overlap(class, display, id), c.overlap},
			{k.Throttled(class, class), c.throttled}, {k.Throttled(class, display), c.throttledByName},
			{k.Restart, "illuminate:queue:restart"},
		} {
			if x[0] != x[1] {
				t.Errorf("Laravel %d: %q, want %q", c.version, x[0], x[1])
			}
		}
	}
}

// phpHash has PHP itself hash a text.
func phpHash(t *testing.T, algorithm, text string) string {
	t.Helper()
	bin, err := exec.LookPath("php")
	if err != nil {
		missing(t, "php")
	}
	out, err := exec.CommandContext(t.Context(), bin, "-r", `echo hash($argv[1], $argv[2]);`, "--", algorithm, text).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
