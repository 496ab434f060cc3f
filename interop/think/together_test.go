package think

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/worker"
)

// running starts Spool's worker and returns where it tells how it ended.
func (p *pair) running(mux *spool.Mux) <-chan worker.Reason {
	p.t.Helper()
	set := p.spool(mux)
	conn, err := set.Manager.Connection(p.t.Context(), "")
	if err != nil {
		p.t.Fatal(err)
	}
	o, err := set.WorkerOptions(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	o.Memory = 0 // the process is that of all tests
	ended := make(chan worker.Reason, 1)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		res, _ := worker.New(conn, mux, o).Run(ctx)
		ended <- res.Reason
	})
	p.t.Cleanup(func() {
		cancel()
		running.Wait()
		p.close(set)
	})
	return ended
}

func restarted(t *testing.T, p *pair) {
	for _, side := range []string{"PHP", "Spool"} {
		mux := spool.NewMux()
		var s seen
		mux.HandleFunc("Mail", s.handle("mail", nil))
		spoolEnded := p.running(mux)
		php := p.start()
		// A job that Go has run shows that it has read the signal of before.
		before := len(p.reports())
		p.peer("push", "Mail", `{"n":1}`, "default", "0", "20")
		eventually(t, "both sides at work", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.jobs) > 0 && len(p.reports()) > before {
				return true
			}
			p.peer("push", "Mail", `{"n":1}`, "default", "0", "5")
			return false
		})
		if side == "PHP" {
			p.peer("restart")
		} else {
			time.Sleep(time.Second) // signals are whole seconds: this must be another one
			cache, err := p.side().Cache(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range p.side().Restarts() {
				if err := cache.Put(t.Context(), key, time.Now().Unix(), 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		done := make(chan error, 1)
		go func() { done <- php.Wait() }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("restart of %s: PHP ended with %v", side, err)
			}
		case <-time.After(time.Minute):
			t.Errorf("restart of %s doesn't stop PHP", side)
		}
		select {
		case reason := <-spoolEnded:
			if reason != worker.Restarting {
				t.Errorf("restart of %s: Spool ended with %q", side, reason)
			}
		case <-time.After(time.Minute):
			t.Errorf("restart of %s doesn't stop Spool", side)
		}
	}
}

func longJob(t *testing.T, p *pair) {
	if _, err := spool.Push(t.Context(), p.side().Client, "Mail", Mail{N: 1}); err != nil {
		t.Fatal(err)
	}
	var s seen
	mux := spool.NewMux()
	mux.HandleFunc("Mail", s.handle("mail", func(*spool.Job) error {
		p.start() // PHP's worker looks for jobs all the while
		time.Sleep((lease + 2) * time.Second)
		return nil
	}))
	p.workGo(mux, func(o *worker.Options) { o.Policy.Timeout = new(time.Minute) })
	if !slices.Equal(s.jobs, []string{"mail 1"}) || len(p.reports()) != 0 || p.size() != 0 {
		t.Errorf("Go saw %v, PHP %v; %d jobs are left", s.jobs, p.reports(), p.size())
	}
}

func queueZero(t *testing.T, p *pair) {
	p.peer("push", "Mail", `{"n":1}`, "0")
	if _, err := spool.Push(t.Context(), p.side().Client, "Mail", Mail{N: 2}, spool.OnQueue("0")); err != nil {
		t.Fatal(err)
	}
	if n := p.size(); n != 2 {
		t.Errorf("the default queue has %d jobs", n)
	}
	p.peer("work", "--once", "--queue=0")
	if !slices.Equal(p.attempts(), []int{1}) {
		t.Errorf("PHP saw attempts %v", p.attempts())
	}
	var s seen
	mux := spool.NewMux()
	mux.HandleFunc("Mail", s.handle("mail", nil))
	p.workGo(mux, func(o *worker.Options) { o.Queues = []string{"0"} })
	if !slices.Equal(s.jobs, []string{"mail 1"}) || p.size() != 0 {
		t.Errorf("Go saw %v, %d jobs are left", s.jobs, p.size())
	}
}

func objects(t *testing.T, p *pair) {
	p.peer("object", "7", "default")
	p.peer("push", "Mail", `{"n":2}`, "default")
	var s seen
	mux := spool.NewMux()
	mux.HandleFunc("Mail", s.handle("mail", nil))
	mux.HandleFunc(`app\job\Objects`, s.handle("object", nil)) // not even then
	set := p.spool(mux)
	defer p.close(set)
	var left []string
	spool.Listen(set.Manager.Events(), func(_ context.Context, e spool.JobUnhandled) { left = append(left, e.Job.Name) })
	conn, err := set.Manager.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	o, err := set.WorkerOptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o.Memory = 0 // the process is that of all tests
	o.StopWhenEmpty, o.Concurrency = true, 1
	if res, err := worker.New(conn, mux, o).Run(t.Context()); err != nil || res.Failed != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	if !slices.Equal(left, []string{`app\job\Objects`}) || !slices.Equal(s.jobs, []string{"mail 1"}) {
		t.Errorf("left to PHP: %q; run: %q", left, s.jobs)
	}
	eventually(t, "PHP's run", func() bool {
		p.peer("work", "--stop-when-empty", "--tries=1")
		return len(p.reports()) > 0
	})
	if r := p.reports()[0]; r.Event != "handle" || string(r.Data) != `{"n":7,"hidden":"priv"}` {
		t.Errorf("PHP saw %+v", r)
	}
	if left := p.size(); left != 0 {
		t.Errorf("%d jobs are left", left)
	}
}

func together(t *testing.T, p *pair) {
	const n = 200
	jobs := make([]any, n)
	for i := range jobs {
		jobs[i] = Mail{N: int64(i)}
	}
	client := p.side().Client
	for _, j := range jobs {
		if _, err := spool.Push(t.Context(), client, "Mail", j); err != nil {
			t.Fatal(err)
		}
	}
	p.start("--sleep=0.01")
	var s seen
	mux := spool.NewMux()
	mux.HandleFunc("Mail", s.handle("mail", func(*spool.Job) error { time.Sleep(2 * time.Millisecond); return nil }))
	p.running(mux)
	eventually(t, "every job", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.jobs)+len(p.reports()) >= n
	})
	times := make([]int, n)
	s.mu.Lock()
	for _, m := range s.mails {
		times[m.N]++
	}
	s.mu.Unlock()
	for _, r := range p.reports() {
		var m Mail
		if err := json.Unmarshal(r.Data, &m); err != nil {
			t.Fatal(err)
		}
		times[m.N]++
	}
	for i, k := range times {
		if k != 1 {
			t.Errorf("job %d ran %d times", i, k)
		}
	}
	t.Logf("Go ran %d, PHP %d", len(s.jobs), len(p.reports()))
	eventually(t, "an empty queue", func() bool { return p.size() == 0 })
}

// absent declares what one side can't do, as the conformance suite does.
func absent(t *testing.T, ability, why string) {
	t.Run("capability/"+ability, func(t *testing.T) { t.Skip(why) })
}
