package spooltest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/spooltest"
)

func push(t testing.TB, fake *spooltest.Fake, job any, opts ...spool.DispatchOption) spool.Ref {
	t.Helper()
	ref, err := spool.Dispatch(t.Context(), fake.Client, job, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestFailuresAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		fn    func(tb testing.TB, fake *spooltest.Fake)
		parts []string
	}{
		"nothing pushed": {func(_ testing.TB, fake *spooltest.Fake) {
			spooltest.AssertPushed[SendReceipt](fake, 1)
		}, []string{"SendReceipt was pushed 0 times, want 1", "nothing was pushed"}},
		"another type": {func(tb testing.TB, fake *spooltest.Fake) {
			push(tb, fake, Charge{7})
			spooltest.AssertPushed[SendReceipt](fake, 1)
		}, []string{"pushed were:", `Charge on default:default {"order":7}`}},
		"too many": {func(tb testing.TB, fake *spooltest.Fake) {
			push(tb, fake, Charge{7})
			spooltest.AssertPushed[Charge](fake, 0)
		}, []string{"Charge was pushed 1 times, want 0"}},
		"data of another type": {func(tb testing.TB, fake *spooltest.Fake) {
			push(tb, fake, spool.WithName("Charge", "seven"))
			spooltest.Pushed[Charge](fake)
		}, []string{"Charge doesn't fit the type"}},
		"a type without a name": {func(_ testing.TB, fake *spooltest.Fake) {
			spooltest.Pushed[struct{ A int }](fake)
		}, []string{"spooltest:"}},
		"other data": {func(tb testing.TB, fake *spooltest.Fake) {
			push(tb, fake, Charge{8})
			fake.AssertHas(Charge{7})
		}, []string{`no Charge {"order":7} was pushed`, `{"order":8}`}},
		"many others, and long": {func(tb testing.TB, fake *spooltest.Fake) {
			for range 25 {
				push(tb, fake, spool.WithName("Ship", strings.Repeat("件", 1000)))
			}
			fake.AssertHas(Charge{7})
		}, []string{"件…\n", "and 5 more"}},
		"no job at all": {func(_ testing.TB, fake *spooltest.Fake) {
			fake.AssertHas(struct{}{})
		}, []string{"spooltest:"}},
		"something": {func(tb testing.TB, fake *spooltest.Fake) {
			push(tb, fake, Charge{7})
			fake.AssertNothingPushed()
		}, []string{"want nothing to be pushed", "Charge on"}},
		"a shorter chain": {func(tb testing.TB, fake *spooltest.Fake) {
			if err := Deliver(tb.Context(), fake.Client, 7); err != nil {
				tb.Fatalf("%v", err)
			}
			fake.AssertChain(Charge{7})
		}, []string{"no such chain was pushed", "Ship on default:depot"}},
		"another chain": {func(tb testing.TB, fake *spooltest.Fake) {
			if err := Deliver(tb.Context(), fake.Client, 7); err != nil {
				tb.Fatalf("%v", err)
			}
			fake.AssertChain(Charge{7}, Ship{8})
		}, []string{`Ship on default:default {"order":8}`, `Ship on default:depot {"order":7}`}},
		"no chain": {func(_ testing.TB, fake *spooltest.Fake) {
			fake.AssertChain(Charge{7}, Ship{7})
		}, []string{"nothing was pushed"}},
		"an unknown connection": {func(_ testing.TB, fake *spooltest.Fake) {
			fake.Follow(spooltest.Push{Connection: "redis"})
		}, []string{`no connection "redis"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fails(t, func(tb testing.TB) { c.fn(tb, spooltest.NewFake(tb, nil)) }, c.parts...)
		})
	}
}

func TestOptionsAreRecorded(t *testing.T) {
	t.Parallel()
	fake := spooltest.NewFake(t, &spooltest.FakeOptions{Connections: []spool.ConnectionConfig{
		{Name: "redis", Queue: "main"}, {Name: "sql", AfterCommit: true}, {Name: "both", Failover: []string{"sql", "redis"}},
	}})
	ref := push(t, fake, Charge{1}, spool.Tries(5), spool.OnGroup("bank"), spool.Extra("tenant", "a"))
	push(t, fake, Charge{2}, spool.OnConnection("sql"), spool.Delay(time.Hour))
	push(t, fake, Charge{3}, spool.OnConnection("both"))
	got := spooltest.AssertPushed[Charge](fake, 3)
	one, two := got[0], got[1]
	if one.UUID != ref.UUID || one.Connection != "redis" || one.Queue != "main" || *one.Payload.Policy.Tries != 5 || one.Payload.Group != "bank" {
		t.Errorf("got %+v", one)
	}
	if two.Connection != "sql" || two.Queue != "default" || two.Delay != time.Hour {
		t.Errorf("got %+v", two)
	}
	if got[2].Connection != "sql" {
		t.Errorf("failed over to %s", got[2].Connection)
	}
	if _, err := spool.Dispatch(t.Context(), fake.Client, Charge{4}, spool.OnConnection("sqs")); err == nil {
		t.Error("want an error of an unknown connection")
	}
}

type tx struct{ err error }

func (x tx) Commit() error   { return x.err }
func (x tx) Rollback() error { return nil }

func TestTransactionsHoldJobs(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	fake := spooltest.NewFake(t, nil)
	commit := fake.Client.InTx(tx{})
	if _, err := spool.Dispatch(ctx, commit, Charge{7}); err != nil {
		t.Fatal(err)
	}
	fake.AssertNothingPushed()
	if err := commit.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	spooltest.AssertPushed[Charge](fake, 1)
	back := fake.Client.InTx(tx{})
	if _, err := spool.Dispatch(ctx, back, Ship{7}); err != nil {
		t.Fatal(err)
	}
	if err := back.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	spooltest.AssertPushed[Ship](fake, 0)
}

func TestUniqueJobsAreSkipped(t *testing.T) {
	t.Parallel()
	fake := spooltest.NewFake(t, nil)
	push(t, fake, Charge{7}, spool.Unique("7"))
	if ref := push(t, fake, Charge{7}, spool.Unique("7")); !ref.Skipped {
		t.Error("the second wasn't skipped")
	}
	spooltest.AssertPushed[Charge](fake, 1)
	mux := Handlers(func(int) error { return nil })
	spooltest.Work(t, fake.Client, mux, nil)
	push(t, fake, Charge{7}, spool.Unique("7"))
	spooltest.AssertPushed[Charge](fake, 2)
}

func TestRefusedJobsAreNotRecorded(t *testing.T) {
	t.Parallel()
	full := errors.New("queue full")
	fake := spooltest.NewFake(t, &spooltest.FakeOptions{Refuse: func(p spooltest.Push) error {
		if p.Name == "Ship" {
			return full
		}
		return nil
	}})
	if _, err := spool.Dispatch(t.Context(), fake.Client, Ship{1}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	push(t, fake, Charge{1})
	fake.AssertHas(Charge{1})
	if n := len(fake.Pushes()); n != 1 {
		t.Errorf("%d were recorded", n)
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	fake := spooltest.NewFake(t, nil)
	push(t, fake, Charge{1})
	fake.Reset()
	fake.AssertNothingPushed()
	mux := Handlers(func(int) error { return nil })
	if n := len(spooltest.Work(t, fake.Client, mux, nil)); n != 1 {
		t.Errorf("%d jobs were left on the queue, want 1", n)
	}
}

func TestDispatchesFromManyGoroutines(t *testing.T) {
	t.Parallel()
	fake := spooltest.NewFake(t, nil)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			if _, err := spool.Dispatch(t.Context(), fake.Client, Charge{i}); err != nil {
				t.Error(err)
			}
			spooltest.Pushed[Charge](fake)
		})
	}
	all.Wait()
	sum := 0
	for _, d := range spooltest.AssertPushed[Charge](fake, 50) {
		sum += d.Job.Order
	}
	if sum != 50*49/2 {
		t.Errorf("got %d", sum)
	}
}

func TestWhatIsNoJob(t *testing.T) {
	t.Parallel()
	fake := spooltest.NewFake(t, nil)
	conn, err := fake.Client.Manager().Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.PushRaw(t.Context(), "", []byte("not a job"), 0); err != nil {
		t.Fatal(err)
	}
	p := fake.Pushes()[0]
	if p.Payload != nil || p.Decode(new(Charge)) == nil {
		t.Errorf("got %+v", p)
	}
	if got := p.String(); got != " on default:default (not a job)" {
		t.Errorf("got %q", got)
	}
	res := spooltest.Work(t, fake.Client, spool.NewMux(), nil)
	if len(res) != 1 || res[0].Outcome != spooltest.Failed {
		t.Errorf("got %v", res)
	}
	fails(t, func(tb testing.TB) { spooltest.Run(tb, spool.NewMux(), p, nil) }, "the body is no job")
}

func TestChainsWithBatches(t *testing.T) {
	t.Parallel()
	fake := spooltest.NewFake(t, nil)
	c := fake.Client
	batch := c.Batch(SendReceipt{1}, spool.With(SendReceipt{2}, spool.Delay(time.Hour))).Finally(Ship{2})
	if _, err := c.Chain(Charge{1}, batch, Refund{3}).Dispatch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(fake.Pushes()); n != 1 {
		t.Fatalf("%d pushed, want the first link", n)
	}
	var got []string
	for _, p := range fake.Follow(fake.Pushes()[0]) {
		got = append(got, fmt.Sprint(p))
	}
	for _, want := range []string{
		`SendReceipt on default:default {"order":1}`, `SendReceipt on default:default in 1h0m0s {"order":2}`,
		`Ship on default:default {"order":2}`, `Refund on default:default {"order":3}`,
	} {
		found := false
		for _, g := range got {
			found = found || g == want
		}
		if !found {
			t.Errorf("got %q, without %s", got, want)
		}
	}
	if n := len(fake.Pushes()); n != 1 || len(fake.Batches()) != 0 {
		t.Error("Follow has left something behind")
	}
}

func TestBatchesAreListed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	fake := spooltest.NewFake(t, nil)
	if len(fake.Batches()) != 0 {
		t.Error("batches out of nothing")
	}
	b, err := fake.Client.Batch(Charge{1}).Name("first").Dispatch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fake.Client.Batch().Name("second").Then(Ship{9}).Dispatch(ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.Add(ctx, Charge{2}); err != nil {
		t.Fatal(err)
	}
	down := errors.New("down")
	_, err = fake.Client.Batch(Charge{1}).Before(func(context.Context, *spool.Batch) error { return down }).Dispatch(ctx)
	if !errors.Is(err, down) {
		t.Fatal(err)
	}
	all := fake.Batches()
	if len(all) != 2 || all[0].Name != "first" || all[1].Name != "second" {
		t.Fatalf("got %+v", all)
	}
	if len(all[0].Members) != 2 || all[0].Pending != 2 {
		t.Errorf("got %+v", all[0])
	}
	if len(all[1].Members) != 0 || all[1].FinishedAt.IsZero() || fake.AssertHas(Ship{9}).Payload.BatchEvent != spool.BatchThen {
		t.Errorf("got %+v", all[1])
	}
	mux := Handlers(func(order int) error {
		if order == 2 {
			return errDeclined
		}
		return nil
	})
	spooltest.Work(t, fake.Client, mux, nil)
	if b := fake.Batches()[0]; b.Failed != 1 || b.CancelledAt.IsZero() {
		t.Errorf("got %+v", b)
	}
}

func TestInlineRunsSomeOnly(t *testing.T) {
	t.Parallel()
	ran := 0
	mux := spool.NewMux()
	spool.Handle(mux, func(_ context.Context, job Charge) error {
		switch ran++; job.Order {
		case 13:
			panic("unlucky")
		case 0:
			return errBusy
		}
		return nil
	})
	fake := spooltest.NewFake(t, &spooltest.FakeOptions{Inline: mux})
	push(t, fake, Charge{1}, spool.Delay(time.Hour))
	push(t, fake, Ship{1})
	for _, order := range []int{0, 13} {
		if _, err := spool.Dispatch(t.Context(), fake.Client, Charge{order}); err == nil {
			t.Errorf("%d: want an error", order)
		}
	}
	if ran != 3 {
		t.Errorf("%d ran", ran)
	}
	spooltest.AssertPushed[Charge](fake, 3)
	spooltest.AssertPushed[Ship](fake, 1)
	b, err := fake.Client.Batch(Charge{5}, Charge{6}).Dispatch(t.Context())
	if err != nil || !b.Finished() {
		t.Errorf("got %+v, %v", b, err)
	}
}
