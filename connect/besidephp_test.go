package connect

import (
	"context"
	"strings"
	"testing"

	"github.com/spoolq/spool"
)

func TestBesidePHP(t *testing.T) {
	const stock = "laravel: 11\nqueue: {default: redis}\n"
	handler := func(context.Context, *spool.Job) error { return nil }
	own, shared := spool.NewMux(), spool.NewMux()
	for _, name := range []string{"e", "d", "c", "b", "a"} {
		own.HandleFunc(name, handler)
	}
	shared.HandleFunc("mail", handler, spool.Alias(`App\Jobs\Mail`))
	for _, c := range []struct {
		name, yaml string
		mux        *spool.Mux
		queues     []string
		want       string // "": nothing
	}{
		{"jobs of Go on the queue of PHP", stock, own, nil, "only Go knows the jobs a, b, c, d and 1 more, and on queue default PHP's workers may meet them"},
		{"by name", stock, own, []string{"high", "default"}, "on queue default"},
		{"a queue of their own", stock, own, []string{"go"}, ""},
		{"the connection's queue is Go's", stock + "worker: {queue: [go]}\n", own, []string{"go"}, ""},
		{"jobs of PHP", stock, shared, nil, ""},
		{"no job", stock, spool.NewMux(), nil, ""},
		{"taken care of", stock + "worker: {beside_php: no}\n", own, nil, ""},
		{"those that are taken", stock + "worker: {only: [c, x]}\n", own, nil, "only Go knows the jobs c, and"},
		{"no Laravel", "laravel: none\nqueue: {default: redis}\n", own, nil, ""},
		{"ThinkPHP's", "laravel: 11\nqueue: {default: redis, connections: {redis: {profile: tq3}}}\n", own, nil, ""},
		{"sync", "laravel: 11\nqueue: {default: sync}\n", own, nil, ""},
		{"commands", stock + "jobs: [{name: [reports.*, 'App\\Jobs\\*', '*'], command: [true]}]\n", nil, nil, "only Go knows the jobs reports.*, and"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := set(t, c.yaml)
			if c.mux != nil {
				s.Mux = c.mux
			}
			got := strings.Join(s.BesidePHP("", c.queues...), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
