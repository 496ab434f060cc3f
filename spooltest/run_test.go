package spooltest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/spooltest"
	"github.com/spoolq/spool/worker"
)

// does returns a mux with one handler for Charge.
func does(fn func(ctx context.Context, job Charge) error, opts ...spool.HandlerOption) *spool.Mux {
	mux := spool.NewMux()
	spool.Handle(mux, fn, opts...)
	return mux
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	hand := func(end func(j *spool.Job), err error) *spool.Mux {
		return does(func(ctx context.Context, _ Charge) error {
			end(spool.JobFrom(ctx))
			return err
		})
	}
	ret := func(err error, opts ...spool.HandlerOption) *spool.Mux {
		return does(func(context.Context, Charge) error { return err }, opts...)
	}
	for name, c := range map[string]struct {
		mux  *spool.Mux
		want spooltest.Outcome
		text string
	}{
		"nil":              {ret(nil), spooltest.Done, "done"},
		"Delete":           {hand((*spool.Job).Delete, nil), spooltest.Deleted, "deleted"},
		"Delete, error":    {hand((*spool.Job).Delete, boom), spooltest.Deleted, "deleted"},
		"Release":          {ret(spool.Release(time.Hour)), spooltest.Released, "released after 1h0m0s"},
		"Job.Release":      {hand(func(j *spool.Job) { j.Release(0) }, nil), spooltest.Released, "released after 0s"},
		"Fail":             {ret(spool.Fail(boom)), spooltest.Failed, "failed: boom"},
		"Fail without":     {ret(spool.Fail(nil)), spooltest.Failed, "failed: failed by hand"},
		"Job.Fail":         {hand(func(j *spool.Job) { j.Fail(boom) }, nil), spooltest.Failed, "failed: boom"},
		"error, one try":   {ret(boom), spooltest.Failed, "failed: boom"},
		"error":            {ret(boom, spool.Tries(2), spool.Backoff(time.Second)), spooltest.Retried, "retried after 1s: boom"},
		"GiveBack":         {ret(spool.GiveBack(time.Minute, boom)), spooltest.GivenBack, "given back after 1m0s: boom"},
		"GiveBack, no why": {ret(spool.GiveBack(time.Minute, nil)), spooltest.GivenBack, "given back after 1m0s"},
		"middleware":       {ret(boom, spool.Through(spool.Skip(func(context.Context, *spool.Job) bool { return true }))), spooltest.Done, "done"},
		"panic":            {does(func(context.Context, Charge) error { panic("unlucky") }), spooltest.Failed, "failed: panic: unlucky"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res := spooltest.Run(t, c.mux, Charge{7}, nil).Assert(c.want)
			if got := res.String(); got != c.text {
				t.Errorf("got %q, want %q", got, c.text)
			}
		})
	}
}

func TestRunTells(t *testing.T) {
	t.Parallel()
	fails(t, func(tb testing.TB) {
		spooltest.Run(tb, does(func(context.Context, Charge) error { return nil }), Charge{7}, nil).Assert(spooltest.Failed)
	}, "attempt 1 of Charge: done, want failed")
	fails(t, func(tb testing.TB) {
		spooltest.Run(tb, Handlers(nil), SendReceipts{}, nil)
	}, "no handler for the job SendReceipts", "Charge, Refund, SendReceipt, Ship")
	fails(t, func(tb testing.TB) {
		spooltest.Run(tb, Handlers(nil), spooltest.Push{Connection: "redis"}, nil)
	}, `no connection "redis"`)
}

type SendReceipts struct{}

func TestRunPanic(t *testing.T) {
	t.Parallel()
	res := spooltest.Run(t, does(func(context.Context, Charge) error { panic("unlucky") }), Charge{7}, nil)
	p, ok := errors.AsType[*worker.PanicError](res.Err)
	if !ok || p.Value != "unlucky" || len(p.Stack) == 0 {
		t.Errorf("got %v", res.Err)
	}
}

func TestRunDataOfAnotherType(t *testing.T) {
	t.Parallel()
	called := false
	mux := does(func(context.Context, Charge) error { called = true; return nil })
	res := spooltest.Run(t, mux, spool.WithName("Charge", map[string]any{"order": "seven"}), nil).Assert(spooltest.Failed)
	if _, ok := errors.AsType[*spool.DecodeError](res.Err); !ok || called {
		t.Errorf("got %v, called %v", res.Err, called)
	}
}

func TestRunAttemptAndPolicy(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	var seen int
	mux := does(func(ctx context.Context, _ Charge) error {
		seen = spool.JobFrom(ctx).Attempt
		return boom
	})
	opts := &spooltest.RunOptions{Attempt: 4, Policy: spool.Policy{Tries: new(5), Backoff: []time.Duration{1, 2, 3, time.Hour}}}
	res := spooltest.Run(t, mux, Charge{7}, opts).Assert(spooltest.Retried)
	if seen != 4 || res.Job.Attempt != 4 || res.Delay != time.Hour {
		t.Errorf("attempt %d, %v", seen, res)
	}
	// One too many isn't run.
	seen, opts.Attempt = 0, 6
	if res = spooltest.Run(t, mux, Charge{7}, opts).Assert(spooltest.Failed); !errors.Is(res.Err, worker.ErrMaxAttempts) || seen != 0 {
		t.Errorf("got %v", res)
	}
}

func TestRunTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mux := does(func(ctx context.Context, _ Charge) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}, spool.Timeout(time.Hour), spool.Tries(2))
		begun := time.Now()
		res := spooltest.Run(t, mux, Charge{7}, nil).Assert(spooltest.Retried)
		if !errors.Is(res.Err, worker.ErrTimeout) || time.Since(begun) < time.Hour {
			t.Errorf("got %v after %v", res, time.Since(begun))
		}
	})
}

func TestRunDispatches(t *testing.T) {
	t.Parallel()
	fake := spooltest.NewFake(t, nil)
	push(t, fake, Refund{1})
	mux := does(func(ctx context.Context, job Charge) error {
		_, err := spool.Dispatch(ctx, fake.Client, SendReceipt(job))
		return errors.Join(err, spool.AppendToChain(ctx, Ship(job)))
	})
	res := spooltest.Run(t, mux, Charge{7}, &spooltest.RunOptions{Fake: fake}).Assert(spooltest.Done)
	if len(res.Dispatched) != 2 || res.Dispatched[0].Name != "SendReceipt" || res.Dispatched[1].Name != "Ship" {
		t.Errorf("got %v", res.Dispatched)
	}
	spooltest.AssertPushed[Charge](fake, 0) // what is run isn't dispatched
	fake.AssertHas(Ship{7})
}

func TestRunMemberOfBatch(t *testing.T) {
	t.Parallel()
	fake := spooltest.NewFake(t, nil)
	if _, err := fake.Client.Batch(Charge{7}).Then(Ship{7}).Dispatch(t.Context()); err != nil {
		t.Fatal(err)
	}
	var pending int
	mux := does(func(ctx context.Context, _ Charge) error {
		b, err := spool.BatchFrom(ctx)
		if err == nil {
			pending = b.Pending
		}
		return err
	})
	spooltest.Run(t, mux, fake.AssertHas(Charge{7}), &spooltest.RunOptions{Fake: fake}).Assert(spooltest.Done)
	if pending != 1 || fake.Batches()[0].Pending != 0 {
		t.Errorf("%d pending, then %d", pending, fake.Batches()[0].Pending)
	}
	fake.AssertHas(Ship{7})
}

// What PHP has stored runs, too.
func TestRunClassJob(t *testing.T) {
	t.Parallel()
	fake := spooltest.NewFake(t, &spooltest.FakeOptions{Connections: []spool.ConnectionConfig{{Name: "redis", Format: &laravel.Format{}}}})
	body := `{"uuid":"e385264f-3dd1-4a0c-8d6d-1d6f1c1a2b3c","displayName":"App\\Jobs\\Charge","job":"Illuminate\\Queue\\CallQueuedHandler@call",` +
		`"maxTries":null,"data":{"commandName":"App\\Jobs\\Charge","command":"O:15:\"App\\Jobs\\Charge\":1:{s:5:\"order\";i:7;}"}}`
	var got int
	mux := does(func(_ context.Context, job Charge) error { got = job.Order; return nil }, spool.Alias(`App\Jobs\Charge`))
	spooltest.Run(t, mux, spooltest.Push{Body: []byte(body)}, &spooltest.RunOptions{Fake: fake}).Assert(spooltest.Done)
	if got != 7 {
		t.Errorf("order %d", got)
	}
}

// A handler that doesn't end with its context.
func TestRunStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		block := make(chan struct{})
		defer close(block)
		stuck := func(opts ...spool.HandlerOption) *spool.Mux {
			return does(func(context.Context, Charge) error { <-block; return nil }, append(opts, spool.Timeout(time.Minute))...)
		}
		res := spooltest.Run(t, stuck(), Charge{7}, nil).Assert(spooltest.Failed)
		if !errors.Is(res.Err, worker.ErrTimeout) {
			t.Errorf("got %v", res)
		}
		fails(t, func(tb testing.TB) {
			spooltest.Run(tb, stuck(spool.Tries(2)), Charge{7}, nil)
		}, "Charge was given up: its handler has ignored the end of its context")
	})
}

func TestClassJobs(t *testing.T) {
	t.Parallel()
	fake := spooltest.NewFake(t, &spooltest.FakeOptions{Connections: []spool.ConnectionConfig{{Name: "redis", Format: &laravel.Format{}}}})
	job := func(class string, order int) *laravel.Command {
		return laravel.NewCommand(class, laravel.Public("order", order))
	}
	_, err := fake.Client.Chain(job(`App\Jobs\Charge`, 7), job(`App\Jobs\Ship`, 7)).OnQueue("php").Dispatch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	links := fake.AssertChain(job(`App\Jobs\Charge`, 7), job(`App\Jobs\Ship`, 7))
	if links[1].Queue != "php" {
		t.Errorf("got %v", links[1])
	}
	fails(t, func(tb testing.TB) {
		f := spooltest.NewFake(tb, &spooltest.FakeOptions{Connections: []spool.ConnectionConfig{{Name: "redis", Format: &laravel.Format{}}}})
		if _, err := spool.Dispatch(tb.Context(), f.Client, job(`App\Jobs\Charge`, 7)); err != nil {
			tb.Fatalf("%v", err)
		}
		f.AssertHas(job(`App\Jobs\Charge`, 8))
	}, `no App\Jobs\Charge`)
}
