// Package deferred runs jobs after the response to an HTTP request: what its
// handler dispatches to a connection of the driver deferred is held until the
// handler has returned.
package deferred

import (
	"log/slog"
	"net/http"

	"github.com/spoolq/spool"
)

// Options are the options of [Handler].
type Options struct {
	// Logger is told of jobs that could not be dispatched after all; nil means
	// slog.Default().
	Logger *slog.Logger
}

// Handler returns a handler that opens a scope (see [spool.Deferred]) around
// next: dispatches with the request's context to connections that defer go out
// when next has returned or panicked. They run in goroutines of their
// connection, beside the server's, which ends the response meanwhile: the
// client waits for none of them.
func Handler(next http.Handler, opts *Options) http.Handler {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, end := spool.Deferred(r.Context())
		defer func() {
			if err := end(); err != nil {
				o.Logger.Error("jobs of a request could not be dispatched after its response", "method", r.Method, "path", r.URL.Path, "error", err)
			}
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
