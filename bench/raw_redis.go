package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// rawPop takes jobs off the list, raises their attempts where the layout has
// them, and reserves them.
const rawPop = `
local jobs = redis.call('LPOP', KEYS[1], ARGV[1])
if not jobs then return {} end
local scored = {}
for i, job in ipairs(jobs) do
  job = string.gsub(job, '"attempts":0', '"attempts":1')
  jobs[i], scored[2 * i - 1], scored[2 * i] = job, ARGV[2], job
end
redis.call('ZADD', KEYS[2], unpack(scored))
redis.call('LPOP', KEYS[3], #jobs)
return jobs`

const (
	rawReady    = "queues:raw"
	rawReserved = "queues:raw:reserved"
	rawNotify   = "queues:raw:notify"
)

type rawRedis struct {
	client rueidis.Client
	body   *envelope
	sha    string
}

func openRawRedis(ctx context.Context, s *store, body *envelope) (player, error) {
	client, err := openRedis(ctx, s)
	if err != nil {
		return nil, err
	}
	sha, err := client.Do(ctx, client.B().ScriptLoad().Script(rawPop).Build()).ToString()
	return &rawRedis{client, body, sha}, err
}

func (p *rawRedis) close() error {
	p.client.Close()
	return nil
}

func (p *rawRedis) reset(ctx context.Context) error {
	return p.client.Do(ctx, p.client.B().Del().Key(rawReady, rawReserved, rawNotify).Build()).Error()
}

func (p *rawRedis) run(ctx context.Context, t task) (result, error) {
	switch t.Kind {
	case push:
		one := []string{"1"}
		took, err := concurrently(t.Jobs, t.Width, func(i int) error {
			return p.push(ctx, []string{p.body.body(i)}, one)
		})
		return result{Elapsed: took}, err
	case bulk:
		ones := strings.Split(strings.Repeat("1", t.Width), "")
		begun := time.Now()
		for from := 0; from < t.Jobs; from += t.Width {
			n := min(t.Width, t.Jobs-from)
			if err := p.push(ctx, p.body.bodies(from, n), ones[:n]); err != nil {
				return result{}, err
			}
		}
		return result{Elapsed: time.Since(begun)}, nil
	case drain:
		return loops(t.Jobs, 2, func() (func(bool) (int, error), error) { return p.drain(ctx, t), nil })
	case latency:
		return p.latency(ctx, t)
	}
	return result{}, errors.ErrUnsupported
}

func (p *rawRedis) push(ctx context.Context, bodies, ones []string) error {
	b := p.client.B()
	for _, r := range p.client.DoMulti(ctx, b.Multi().Build(),
		b.Rpush().Key(rawReady).Element(bodies...).Build(),
		b.Rpush().Key(rawNotify).Element(ones...).Build(), b.Exec().Build()) {
		if err := r.Error(); err != nil {
			return err
		}
	}
	return nil
}

func (p *rawRedis) pop(width string) rueidis.Completed {
	lease := strconv.FormatInt(time.Now().Unix()+90, 10)
	return p.client.B().Evalsha().Sha1(p.sha).Numkeys(3).Key(rawReady, rawReserved, rawNotify).Arg(width, lease).Build()
}

func (p *rawRedis) remove(members []string) rueidis.Completed {
	return p.client.B().Zrem().Key(rawReserved).Member(members...).Build()
}

// drain returns a step that removes the last batch and takes the next, in one
// write.
func (p *rawRedis) drain(ctx context.Context, t task) func(last bool) (int, error) {
	width := strconv.Itoa(t.Width)
	var held []string
	return func(last bool) (int, error) {
		var cmds []rueidis.Completed
		if len(held) > 0 {
			cmds = append(cmds, p.remove(held))
		}
		if !last {
			cmds = append(cmds, p.pop(width))
		}
		if len(cmds) == 0 {
			return 0, nil
		}
		removed := int64(0)
		res := p.client.DoMulti(ctx, cmds...)
		var err error
		if len(held) > 0 {
			if removed, err = res[0].ToInt64(); err != nil {
				return 0, err
			}
		}
		if held = nil; !last {
			held, err = res[len(res)-1].AsStrSlice()
		}
		return int(removed), err
	}
}

// latency waits for the notify list, as a worker does.
func (p *rawRedis) latency(ctx context.Context, t task) (result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := newStopwatch(t.Jobs)
	worker := make(chan error, 1)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { worker <- p.work(ctx, t, watch) })
	err := pace(ctx, t, func(i int) error {
		body := p.body.body(i)
		watch.begin(i)
		return p.push(ctx, []string{body}, []string{"1"})
	})
	if err != nil {
		return result{}, err
	}
	select {
	case <-watch.done:
	case err := <-worker:
		if err != nil {
			return result{}, err
		}
	}
	return watch.wait(ctx)
}

// work takes the jobs of latency one at a time, in the order they were pushed.
func (p *rawRedis) work(ctx context.Context, t task, watch *stopwatch) error {
	for i := 0; i < t.Jobs; {
		jobs, err := p.client.Do(ctx, p.pop("1")).AsStrSlice()
		if err != nil {
			return err
		}
		if len(jobs) == 1 {
			watch.started(i)
			i++
			if err := p.client.Do(ctx, p.remove(jobs)).Error(); err != nil {
				return err
			}
			continue
		}
		err = p.client.Do(ctx, p.client.B().Blpop().Key(rawNotify).Timeout(1).Build()).Error()
		if err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
	}
	return nil
}
