package spooltest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/spooltest"
)

// The application under test.

type SendReceipt struct {
	Order int `json:"order"`
}

type Charge struct {
	Order int `json:"order"`
}

type Ship Charge

type Refund Charge

var (
	errDeclined = errors.New("the card was declined")
	errBusy     = errors.New("the bank is busy")
)

// PlaceOrder is what a request calls.
func PlaceOrder(ctx context.Context, client *spool.Client, order int) error {
	if order <= 0 {
		return errors.New("no such order")
	}
	_, err := spool.Dispatch(ctx, client, SendReceipt{Order: order}, spool.OnQueue("mail"), spool.Delay(10*time.Minute))
	return err
}

// Deliver has an order charged, then shipped.
func Deliver(ctx context.Context, client *spool.Client, order int) error {
	_, err := client.Chain(Charge{order}, spool.With(Ship{order}, spool.OnQueue("depot"))).
		Catch(Refund{order}).Dispatch(ctx)
	return err
}

// Remind sends the receipts of many orders.
func Remind(ctx context.Context, client *spool.Client, orders []int) error {
	b := client.Batch().Name("receipts").AllowFailures().Finally(Ship{0})
	for _, order := range orders {
		b.Add(SendReceipt{order})
	}
	_, err := b.Dispatch(ctx)
	return err
}

// Handlers charges through a bank, and ships what is sent.
func Handlers(bank func(order int) error) *spool.Mux {
	mux := spool.NewMux()
	spool.Handle(mux, func(_ context.Context, job Charge) error {
		switch err := bank(job.Order); {
		case errors.Is(err, errBusy):
			return spool.Release(30 * time.Second)
		case errors.Is(err, errDeclined):
			return spool.Fail(err)
		default:
			return err
		}
	}, spool.Tries(3), spool.Backoff(time.Minute))
	spool.Handle(mux, func(context.Context, Ship) error { return nil })
	spool.Handle(mux, func(context.Context, Refund) error { return nil })
	spool.Handle(mux, func(context.Context, SendReceipt) error { return nil })
	return mux
}

// The tests of docs/testing.md.

func TestPlaceOrder(t *testing.T) {
	fake := spooltest.NewFake(t, nil)
	if err := PlaceOrder(t.Context(), fake.Client, 7); err != nil {
		t.Fatal(err)
	}
	mail := spooltest.AssertPushed[SendReceipt](fake, 1)[0]
	if mail.Job.Order != 7 || mail.Queue != "mail" || mail.Delay != 10*time.Minute {
		t.Errorf("got %v", mail)
	}
	spooltest.AssertPushed[Charge](fake, 0)
}

func TestPlaceOrderRefused(t *testing.T) {
	fake := spooltest.NewFake(t, nil)
	if err := PlaceOrder(t.Context(), fake.Client, 0); err == nil {
		t.Error("want an error")
	}
	fake.AssertNothingPushed()
}

func TestPlaceOrderWithoutQueue(t *testing.T) {
	down := errors.New("connection refused")
	fake := spooltest.NewFake(t, &spooltest.FakeOptions{
		Refuse: func(spooltest.Push) error { return down },
	})
	if err := PlaceOrder(t.Context(), fake.Client, 7); !errors.Is(err, down) {
		t.Errorf("got %v, want %v", err, down)
	}
}

func TestDeliver(t *testing.T) {
	fake := spooltest.NewFake(t, nil)
	if err := Deliver(t.Context(), fake.Client, 7); err != nil {
		t.Fatal(err)
	}
	links := fake.AssertChain(Charge{7}, Ship{7})
	if links[1].Queue != "depot" {
		t.Errorf("shipped from %s", links[1].Queue)
	}
	chain, err := spool.ChainOf(links[0].Payload)
	if err != nil || !slices.Equal(chain.Catch, []string{"Refund"}) {
		t.Errorf("got %+v, %v; want a refund on failure", chain, err)
	}
}

func TestRemind(t *testing.T) {
	fake := spooltest.NewFake(t, nil)
	if err := Remind(t.Context(), fake.Client, []int{7, 8}); err != nil {
		t.Fatal(err)
	}
	b := fake.Batches()[0]
	if b.Name != "receipts" || !b.Options.AllowFailures || len(b.Members) != 2 {
		t.Errorf("got %+v", b)
	}
	if last := b.Callbacks[spool.BatchFinally]; len(last) != 1 || last[0].Name != "Ship" {
		t.Errorf("got %v at the end", last)
	}
}

func TestChargeBusy(t *testing.T) {
	mux := Handlers(func(int) error { return errBusy })
	res := spooltest.Run(t, mux, Charge{7}, nil).Assert(spooltest.Released)
	if res.Delay != 30*time.Second {
		t.Errorf("back after %v", res.Delay)
	}
}

func TestChargeLastTry(t *testing.T) {
	mux := Handlers(func(int) error { return errors.New("broken pipe") })
	spooltest.Run(t, mux, Charge{7}, nil).Assert(spooltest.Retried)
	spooltest.Run(t, mux, Charge{7}, &spooltest.RunOptions{Attempt: 3}).Assert(spooltest.Failed)
}

func TestChargeDeclined(t *testing.T) {
	fake := spooltest.NewFake(t, nil)
	if err := Deliver(t.Context(), fake.Client, 7); err != nil {
		t.Fatal(err)
	}
	charge := fake.AssertHas(Charge{7})
	mux := Handlers(func(int) error { return errDeclined })
	res := spooltest.Run(t, mux, charge, &spooltest.RunOptions{Fake: fake}).Assert(spooltest.Failed)
	if !errors.Is(res.Err, errDeclined) {
		t.Errorf("failed with %v", res.Err)
	}
	fake.AssertHas(Refund{7})
	spooltest.AssertPushed[Ship](fake, 0)
}

func TestDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := spooltest.NewFake(t, nil)
		calls := 0
		mux := Handlers(func(int) error {
			if calls++; calls == 1 {
				return errBusy
			}
			return nil
		})
		begun := time.Now()
		if err := Deliver(t.Context(), fake.Client, 7); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range spooltest.Work(t, fake.Client, mux, nil) {
			got = append(got, r.Job.Name+" "+r.String())
		}
		want := []string{"Charge released after 30s", "Charge done", "Ship done"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if d := time.Since(begun); d != 30*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func TestDeliveryInline(t *testing.T) {
	mux := Handlers(func(int) error { return errDeclined })
	fake := spooltest.NewFake(t, &spooltest.FakeOptions{Inline: mux})
	if err := Deliver(t.Context(), fake.Client, 7); !errors.Is(err, errDeclined) {
		t.Errorf("got %v, want %v", err, errDeclined)
	}
	spooltest.AssertPushed[Refund](fake, 1)
}
