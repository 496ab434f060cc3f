//go:build unix

package cli

import (
	"context"
	"strings"
	"testing"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/limit"
)

// An application's limits and unique jobs are in the cache of its settings,
// whatever store that is, and without a word about it; a job that may not run
// now is no failure.
func TestLimitsOfAnApplication(t *testing.T) {
	for _, store := range []string{"database", "file", "array"} {
		t.Run(store, func(t *testing.T) {
			dir, environ := t.TempDir(), []string{"CACHE_STORE=" + store}
			ran, skipped := 0, 0
			app := func(setup func(ctx context.Context, s *connect.Set) error) *App {
				mux := spool.NewMux()
				mux.HandleFunc("call", func(context.Context, *spool.Job) error { ran++; return nil }, spool.Through(
					limit.RateLimited("api", func(*spool.Job) []limit.Limit { return []limit.Limit{limit.PerHour(1)} }, nil),
					limit.WithoutOverlapping(func(*spool.Job) string { return "" }, nil),
					limit.Funnel("calls").Limit(1).Middleware(),
				))
				return &App{Name: "shop", Mux: mux, Setup: setup}
			}
			if code, _, errs := runWith(t.Context(), app(nil), dir, environ, "migrate"); code != 0 {
				t.Fatal(errs)
			}
			push := func(ctx context.Context, s *connect.Set) error {
				for _, id := range []string{"a", "a", "b"} {
					ref, err := spool.Push(ctx, s.Client, "call", nil, spool.Unique(id))
					if err != nil {
						return err
					}
					if ref.Skipped {
						skipped++
					}
				}
				return nil
			}
			code, out, errs := runWith(t.Context(), app(push), dir, environ, "work", "--stop-when-empty", "--concurrency=1")
			if code != 0 || ran != 1 || skipped != 1 || strings.Contains(out, "FAIL") ||
				!strings.Contains(out, "PUT BACK\n      limit api has no room") {
				t.Errorf("exit code %d, %d ran, %d skipped\n%s%s", code, ran, skipped, out, errs)
			}
			if _, out, _ := runWith(t.Context(), app(nil), dir, environ, "jobs"); !strings.Contains(out, "delayed") {
				t.Errorf("the second is not there:\n%s", out)
			}
		})
	}
}
