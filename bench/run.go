package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// plan is what to measure.
type plan struct {
	stores      []storeKind
	cases       []*testcase
	contestants []*contestant
	rounds      int
	aim         time.Duration // of one measurement
	say         func(format string, args ...any)
}

// score is what one contestant reached in one case.
type score struct {
	Contestant string `json:"contestant"`
	Width      int    `json:"width"`
	Jobs       int    `json:"jobs"` // a round
	// Others are the rates at the settings that were not chosen, of one run.
	Others map[int]float64 `json:"others,omitempty"`

	// One value a round; none where it can't be known.
	Rate   []float64 `json:"rate,omitempty"`   // jobs/s
	Client []float64 `json:"client,omitempty"` // CPU µs a job
	Server []float64 `json:"server,omitempty"`
	Allocs []float64 `json:"allocs,omitempty"` // a job

	Latencies []time.Duration `json:"latencies,omitempty"` // of all rounds, sorted
	// Counted is what the server counted for each job, connecting included.
	Counted counted `json:"counted,omitempty"`
}

// row is a case on a store.
type row struct {
	Case   string   `json:"case"`
	Scores []*score `json:"scores"`
}

// sheet is all that was measured on one store.
type sheet struct {
	Store      string `json:"store"`
	Version    string `json:"version"`
	Durability string `json:"durability"`
	Data       int    `json:"data_bytes"`
	Body       int    `json:"body_bytes"`
	Rows       []*row `json:"rows"`
	about      []string
}

// entrant is a contestant in one case.
type entrant struct {
	*contestant
	player player
	widths []int
	score  *score
}

// measureStore runs every case on one store, which lives only as long.
func (p *plan) measureStore(ctx context.Context, k storeKind) (*sheet, error) {
	p.say("%s: starting", k.name)
	s, err := startStore(ctx, k)
	if err != nil {
		return nil, err
	}
	defer s.shut()
	sh := &sheet{Store: s.name, Version: s.version, Durability: s.durability}
	if sh.Data, sh.Body, err = sizes(s); err != nil {
		return nil, err
	}
	for _, c := range p.contestants {
		sh.about = append(sh.about, c.name+": "+c.about(s))
	}
	for _, c := range p.cases {
		if c.only != nil && !c.only(s) {
			continue
		}
		r, err := p.measureCase(ctx, s, c)
		if err != nil {
			return sh, fmt.Errorf("%s, %s: %w", s.name, c.name, err)
		}
		sh.Rows = append(sh.Rows, r)
	}
	return sh, nil
}

// measureCase finds each entrant's best setting, runs the rounds in turns, and
// has the server count.
func (p *plan) measureCase(ctx context.Context, s *store, c *testcase) (*row, error) {
	r := &row{Case: c.name}
	all, err := p.enter(ctx, s, c, r)
	if err == nil {
		err = p.inTurns(ctx, s, c, all)
	}
	for _, e := range all {
		err = errors.Join(err, e.player.close())
	}
	if err != nil {
		return nil, err
	}
	for _, e := range all {
		slices.Sort(e.score.Latencies)
		if err := p.count(ctx, s, c, e); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
	}
	p.say("%s, %s: %s", s.name, c.name, brief(r))
	return r, nil
}

// enter opens those who take part in a case.
func (p *plan) enter(ctx context.Context, s *store, c *testcase, r *row) ([]*entrant, error) {
	var all []*entrant
	for _, con := range p.contestants {
		widths := con.widths(s, c)
		if len(widths) == 0 {
			continue
		}
		pl, err := con.open(ctx, s)
		if err != nil {
			return all, fmt.Errorf("%s: %w", con.name, err)
		}
		e := &entrant{contestant: con, player: pl, widths: widths, score: &score{Contestant: con.name}}
		all = append(all, e)
		r.Scores = append(r.Scores, e.score)
	}
	return all, nil
}

// inTurns has each entrant find its setting, and then all of them run round by
// round.
func (p *plan) inTurns(ctx context.Context, s *store, c *testcase, all []*entrant) error {
	for _, e := range all {
		if err := p.choose(ctx, s, c, e); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	p.level(c, all)
	for round := range p.rounds {
		for _, e := range all {
			if err := p.round(ctx, s, c, e); err != nil {
				return fmt.Errorf("%s, round %d: %w", e.name, round+1, err)
			}
		}
	}
	return nil
}

// Sizes of a task: the first, short run of a setting, and the most of any run.
const (
	firstJobs = 500
	mostJobs  = 200_000
	idleJobs  = 30
	countJobs = 2000
)

// choose warms up and finds the best setting and a number of jobs for it.
func (p *plan) choose(ctx context.Context, s *store, c *testcase, e *entrant) error {
	if c.task.Kind == latency {
		e.score.Width, e.score.Jobs = e.widths[0], idleJobs
		if !c.task.Idle {
			e.score.Jobs = int(p.aim / c.task.Every)
		}
		_, _, err := p.once(ctx, s, e, c.task, e.widths[0], min(e.score.Jobs, idleJobs))
		return err
	}
	best := 0.0
	tried := map[int]float64{}
	for _, w := range e.widths {
		n := max(firstJobs, 2*w)
		res, _, err := p.once(ctx, s, e, c.task, w, n)
		if err != nil {
			return err
		}
		n = p.enough(float64(n)/res.Elapsed.Seconds(), w, p.aim/2)
		if res, _, err = p.once(ctx, s, e, c.task, w, n); err != nil {
			return err
		}
		rate := float64(n) / res.Elapsed.Seconds()
		if tried[w] = rate; rate > best {
			best = rate
			e.score.Width, e.score.Jobs = w, p.enough(rate, w, p.aim)
		}
	}
	if delete(tried, e.score.Width); len(tried) > 0 {
		e.score.Others = tried
	}
	return nil
}

// enough is how many jobs take about that long at that rate.
func (p *plan) enough(rate float64, width int, d time.Duration) int {
	n := int(rate * d.Seconds())
	n = min(max(n, firstJobs, 10*width), mostJobs)
	return n - n%firstJobs
}

// level gives everybody the same number of jobs, that of the first, unless it
// would take them more than four times as long.
func (p *plan) level(c *testcase, all []*entrant) {
	for i, e := range all {
		if i == 0 || c.task.Kind == latency {
			continue
		}
		e.score.Jobs = max(min(all[0].score.Jobs, 4*e.score.Jobs), firstJobs)
	}
}

// once does a task from a clean store and returns what it took.
func (p *plan) once(ctx context.Context, s *store, e *entrant, t task, width, jobs int) (result, usage, error) {
	t.Width, t.Jobs = width, jobs
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("no end after two minutes"))
	defer cancel()
	if err := e.player.reset(ctx); err != nil {
		return result{}, usage{}, err
	}
	if t.Kind == drain {
		if _, err := e.player.run(ctx, task{Kind: bulk, Jobs: jobs, Width: 1000}); err != nil {
			return result{}, usage{}, fmt.Errorf("storing the jobs: %w", err)
		}
	}
	runtime.GC() // nobody pays for another's garbage
	var res result
	u, err := s.measure(func() (err error) {
		res, err = e.player.run(ctx, t)
		return err
	})
	return res, u, err
}

// round measures one entrant once.
func (p *plan) round(ctx context.Context, s *store, c *testcase, e *entrant) error {
	sc := e.score
	res, u, err := p.once(ctx, s, e, c.task, sc.Width, sc.Jobs)
	if err != nil {
		return err
	}
	n := float64(sc.Jobs)
	if c.task.Kind == latency {
		sc.Latencies = append(sc.Latencies, res.Latencies...)
	} else {
		sc.Rate = append(sc.Rate, n/res.Elapsed.Seconds())
	}
	sc.Client = append(sc.Client, u.client.Seconds()*1e6/n)
	sc.Allocs = append(sc.Allocs, float64(u.allocs)/n)
	if u.server >= 0 {
		sc.Server = append(sc.Server, u.server.Seconds()*1e6/n)
	}
	return nil
}

// count does the task once more on connections of its own, which are closed
// before the server says what it did for it.
func (p *plan) count(ctx context.Context, s *store, c *testcase, e *entrant) error {
	if s.pid == 0 || c.task.Kind == latency {
		return nil
	}
	t := c.task
	t.Width, t.Jobs = e.score.Width, min(max(countJobs, 5*e.score.Width), e.score.Jobs)
	err := e.on(ctx, s, func(pl player) error {
		err := pl.reset(ctx)
		if err == nil && t.Kind == drain {
			_, err = pl.run(ctx, task{Kind: bulk, Jobs: t.Jobs, Width: 1000})
		}
		return err
	})
	if err != nil {
		return err
	}
	before, err := s.counters(ctx)
	if err != nil {
		return err
	}
	err = e.on(ctx, s, func(pl player) error {
		_, err := pl.run(ctx, t)
		return err
	})
	if err != nil {
		return err
	}
	after, err := s.counters(ctx)
	e.score.Counted = counted{}
	for name := range after {
		e.score.Counted[name] = (after[name] - before[name]) / float64(t.Jobs)
	}
	return err
}

// on opens the contestant for f alone.
func (c *contestant) on(ctx context.Context, s *store, f func(player) error) error {
	pl, err := c.open(ctx, s)
	if err != nil {
		return err
	}
	return errors.Join(f(pl), pl.close())
}
