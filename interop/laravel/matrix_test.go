package laravel

import (
	"slices"
	"testing"
)

// cell is one thing that both sides do together, shown on every backend on
// which it makes sense.
type cell struct {
	name string
	show func(t *testing.T, a *application)
	// on are the backends, by name ("phpredis") or by kind ("redis"); none means
	// all of them.
	on []string
	// env are further settings of its application, see [newApplication].
	env map[string]string
}

func (c cell) isOn(b backend) bool {
	return len(c.on) == 0 || slices.Contains(c.on, b.name) || slices.Contains(c.on, b.kind)
}

// matrix shows cells on their backends, all at the same time, each with an
// application of its own. A file of cells has one test, which calls it:
//
//	func TestRetry(t *testing.T) { matrix(t, cell{name: "...", show: ...}, ...) }
//
// The kinds of jobs that PHP pushes are in a file of the same name in
// app/kinds, the classes of jobs in app/app/Jobs.
func matrix(t *testing.T, cells ...cell) {
	t.Parallel()
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range cells {
				if !c.isOn(b) {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.show(t, newApplication(t, b, c.env))
				})
			}
		})
	}
}
