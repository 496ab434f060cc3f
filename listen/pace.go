package listen

import "time"

const (
	// atOnce is how soon a child must have died, or Wait must have returned, for
	// the next one to be held back.
	atOnce = time.Second
	// maxBackoff is the longest that children who die at once are held back.
	maxBackoff = 5 * time.Second
)

// pace says how long to pause between children so that nothing spins. Its
// methods only count and calculate.
type pace struct {
	deaths int // children in a row that died at once
	vain   int // waits in a row that were short and led to nothing
}

// died returns the pause after a child that ended badly, having lived so long.
func (p *pace) died(lived time.Duration) time.Duration {
	if lived >= atOnce {
		p.deaths = 0
		return 0
	}
	p.deaths++
	return doubled(100*time.Millisecond, p.deaths-1, maxBackoff)
}

// worked is told of a child that had a job.
func (p *pace) worked() { *p = pace{} }

// waited returns the pause after Wait took so long since a child found
// nothing: a Wait that returns at once and in vain must not cost a process
// each time.
func (p *pace) waited(took, sleep time.Duration) time.Duration {
	p.deaths = 0
	if took >= min(atOnce, sleep) {
		p.vain = 0
		return 0
	}
	// The first wake-up after a child is trusted.
	if p.vain++; p.vain == 1 {
		return 0
	}
	return doubled(50*time.Millisecond, p.vain-2, sleep)
}

func doubled(d time.Duration, times int, most time.Duration) time.Duration {
	return min(d<<min(times, 16), most)
}
