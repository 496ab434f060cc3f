package spooltest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/spooltest"
)

// printer stands for the *testing.T of a test, and shows what it is told.
type printer struct{ testing.TB }

func (printer) Helper()                      {}
func (printer) Cleanup(func())               {}
func (printer) Context() context.Context     { return context.Background() }
func (printer) Errorf(f string, args ...any) { fmt.Printf(f+"\n", args...) }
func (printer) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (printer) Output() io.Writer            { return io.Discard }

var t printer // in a test, its *testing.T

func ExampleNewFake() {
	fake := spooltest.NewFake(t, nil)
	if err := PlaceOrder(t.Context(), fake.Client, 7); err != nil {
		t.Fatalf("%v", err)
	}
	for _, p := range fake.Pushes() {
		fmt.Println(p)
	}
	// Output: SendReceipt on default:mail in 10m0s {"order":7}
}

func ExampleAssertPushed() {
	fake := spooltest.NewFake(t, nil)
	if err := PlaceOrder(t.Context(), fake.Client, 7); err != nil {
		t.Fatalf("%v", err)
	}
	mails := spooltest.AssertPushed[SendReceipt](fake, 1)
	fmt.Println(mails[0].Job.Order, mails[0].Queue, mails[0].Delay)
	spooltest.AssertPushed[SendReceipt](fake, 0) // reports an error
	// Output:
	// 7 mail 10m0s
	// SendReceipt was pushed 1 times, want 0; pushed were:
	// 	SendReceipt on default:mail in 10m0s {"order":7}
}

func ExamplePushed() {
	fake := spooltest.NewFake(t, nil)
	_, err := spool.DispatchAll(t.Context(), fake.Client, []SendReceipt{{1}, {2}, {3}})
	if err != nil {
		t.Fatalf("%v", err)
	}
	sum := 0
	for _, d := range spooltest.Pushed[SendReceipt](fake) {
		sum += d.Job.Order
	}
	fmt.Println(sum)
	// Output: 6
}

func ExampleRun() {
	mux := Handlers(func(int) error { return errBusy })
	fmt.Println(spooltest.Run(t, mux, Charge{7}, nil))
	mux = Handlers(func(int) error { return errors.New("broken pipe") })
	fmt.Println(spooltest.Run(t, mux, Charge{7}, nil))
	fmt.Println(spooltest.Run(t, mux, Charge{7}, &spooltest.RunOptions{Attempt: 3}))
	// Output:
	// released after 30s
	// retried after 1m0s: broken pipe
	// failed: broken pipe
}

func ExampleWork() {
	fake := spooltest.NewFake(t, nil)
	if err := Deliver(t.Context(), fake.Client, 7); err != nil {
		t.Fatalf("%v", err)
	}
	mux := Handlers(func(int) error { return nil })
	for _, r := range spooltest.Work(t, fake.Client, mux, nil) {
		fmt.Println(r.Job.Name, r, r.Dispatched)
	}
	// Output:
	// Charge done [Ship on default:depot {"order":7}]
	// Ship done []
}
