package procgroup

import (
	"errors"
	"time"
)

// errNoUsage says that nothing of the group could be seen.
var errNoUsage = errors.New("the group's usage can't be read")

// usage is what a group holds and has used.
type usage struct {
	memory int64
	cpu    time.Duration
}

// over returns the limit that u breaks, if any.
func (l Limits) over(u usage) string {
	switch {
	case l.Memory > 0 && u.memory > l.Memory:
		return "memory"
	case l.CPU > 0 && u.cpu > l.CPU:
		return "cpu"
	}
	return ""
}

// watch kills the group when it is over a limit. A group that is over its
// memory is not asked first: it may take the machine down meanwhile.
func (p *Process) watch(stop <-chan struct{}) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		u, err := p.group.usage()
		if err != nil {
			continue // it is ending, or /proc is out of reach for a moment
		}
		if which := p.spec.Limits.over(u); which != "" {
			p.mu.Lock()
			if p.over == "" && !p.ended {
				p.over = which
			}
			p.mu.Unlock()
			p.Kill()
		}
	}
}
