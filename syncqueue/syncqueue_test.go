package syncqueue_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/driver/drivertest"
	"github.com/spoolq/spool/syncqueue"
)

func TestConformance(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivertest.Harness {
		return drivertest.Harness{Conn: syncqueue.New(func(context.Context, string, []byte) error { return nil })}
	})
}

func TestPushRunsAtOnceAndInOrder(t *testing.T) {
	var ran []string
	c := syncqueue.New(func(_ context.Context, queue string, body []byte) error {
		ran = append(ran, queue+":"+string(body))
		body[0] = '!'
		return nil
	})
	ms := []driver.Message{
		{ID: "a", Body: []byte("1"), Delay: time.Hour},
		{Body: []byte("2")},
	}
	ids, err := c.Push(t.Context(), "mail", ms)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"mail:1", "mail:2"}; !slices.Equal(ran, want) {
		t.Errorf("ran %q, want %q", ran, want)
	}
	if len(ids) != 2 || ids[0] != "a" || ids[1] == "" {
		t.Errorf("ids are %q, want that of the message and one more", ids)
	}
	if string(ms[0].Body) != "1" {
		t.Errorf("the handler wrote into the caller's body: %q", ms[0].Body)
	}
}

func TestPushReturnsTheErrorOfTheRun(t *testing.T) {
	boom := errors.New("boom")
	ran := 0
	c := syncqueue.New(func(context.Context, string, []byte) error {
		if ran++; ran == 2 {
			return boom
		}
		return nil
	})
	ids, err := c.Push(t.Context(), "mail", []driver.Message{{ID: "a"}, {ID: "b"}, {ID: "c"}})
	if !errors.Is(err, boom) || !slices.Equal(ids, []string{"a"}) || ran != 2 {
		t.Errorf("Push returned %q and %v after %d runs, want [a], boom and 2", ids, err, ran)
	}
}

func TestPushStopsBetweenMessages(t *testing.T) {
	for name, stop := range map[string]func(context.CancelFunc, *syncqueue.Conn){
		"when cancelled": func(cancel context.CancelFunc, _ *syncqueue.Conn) { cancel() },
		"when closed":    func(_ context.CancelFunc, c *syncqueue.Conn) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var c *syncqueue.Conn
			c = syncqueue.New(func(context.Context, string, []byte) error {
				stop(cancel, c)
				return nil
			})
			ids, err := c.Push(ctx, "mail", []driver.Message{{ID: "a"}, {ID: "b"}})
			if !errors.Is(err, context.Canceled) && !errors.Is(err, driver.ErrClosed) || !slices.Equal(ids, []string{"a"}) {
				t.Errorf("Push returned %q and %v, want the first id and why it stopped", ids, err)
			}
		})
	}
}
