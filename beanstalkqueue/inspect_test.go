package beanstalkqueue

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

func TestBuryAndKick(t *testing.T) {
	t.Parallel()
	c, q := open(t, testserver.Beanstalkd(t), nil), tube()
	push(t, c, q, "1", "2", "3")
	if _, err := c.Push(t.Context(), q, []driver.Message{{Body: []byte("later"), Delay: time.Hour}}); err != nil {
		t.Fatal(err)
	}
	rs := reserve(t, c, q, 3)
	if err := c.Bury(t.Context(), rs); err != nil {
		t.Fatal(err)
	}
	if err := c.Bury(t.Context(), rs[:1]); !errors.Is(err, driver.ErrLost) {
		t.Errorf("Bury of a buried job: %v, want ErrLost", err)
	}
	if err := c.Delete(t.Context(), rs[:1]); !errors.Is(err, driver.ErrLost) {
		t.Errorf("Delete of a buried job: %v, want ErrLost", err)
	}
	if n, err := c.Buried(t.Context(), q); n != 3 || err != nil {
		t.Errorf("%d jobs are buried, %v, want 3", n, err)
	}
	if s := size(t, c, q); s.Total() != 1 {
		t.Errorf("Size is %+v, want the delayed job", s)
	}
	e, ok, err := c.Peek(t.Context(), q, driver.Buried)
	if err != nil || !ok || string(e.Body) != "1" || e.Attempts != 1 || e.State != driver.Buried {
		t.Errorf("Peek found %+v, %v, %v", e, ok, err)
	}
	if n, err := c.Kick(t.Context(), q, 2); n != 2 || err != nil {
		t.Errorf("Kick of 2 returned %d, %v", n, err)
	}
	if n, err := c.Kick(t.Context(), q, 10); n != 1 || err != nil {
		t.Errorf("Kick of the rest returned %d, %v, want 1: the delayed job is not to be kicked", n, err)
	}
	if s := size(t, c, q); s.Pending != 3 || s.Delayed != 1 {
		t.Errorf("Size is %+v, want 3 pending, 1 delayed", s)
	}
	for _, r := range reserve(t, c, q, 3) {
		if r.Attempts != 2 {
			t.Errorf("a kicked job is delivered as attempt %d, want 2", r.Attempts)
		}
	}
}

func TestPeek(t *testing.T) {
	t.Parallel()
	c, q := open(t, testserver.Beanstalkd(t), nil), tube()
	for _, state := range []driver.State{driver.Pending, driver.Delayed, driver.Buried} {
		if _, ok, err := c.Peek(t.Context(), q, state); ok || err != nil {
			t.Errorf("Peek of no %s job returned %v, %v", state, ok, err)
		}
	}
	if _, _, err := c.Peek(t.Context(), q, driver.Reserved); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Peek of reserved jobs: %v, want ErrUnsupported", err)
	}
	push(t, c, q, "now", "next")
	if _, err := c.Push(t.Context(), q, []driver.Message{{Body: []byte("far"), Delay: time.Hour}, {Body: []byte("later"), Delay: time.Minute}}); err != nil {
		t.Fatal(err)
	}
	e, ok, err := c.Peek(t.Context(), q, driver.Pending)
	if err != nil || !ok || string(e.Body) != "now" || e.Attempts != 0 || !e.At.IsZero() || time.Since(e.Created) > 2*time.Second {
		t.Errorf("Peek found %+v, %v, %v", e, ok, err)
	}
	e, ok, err = c.Peek(t.Context(), q, driver.Delayed)
	if in := time.Until(e.At); err != nil || !ok || string(e.Body) != "later" || in < 57*time.Second || in > time.Minute {
		t.Errorf("Peek found %+v, %v, %v", e, ok, err)
	}
	if rs := reserve(t, c, q, 1); rs[0].Attempts != 1 {
		t.Errorf("a job that was looked at is delivered as attempt %d", rs[0].Attempts)
	}
}

func TestQueuesWithoutEmptyTubes(t *testing.T) {
	t.Parallel()
	c := open(t, testserver.NewBeanstalkd(t).Addr, nil)
	push(t, c, "full", "x")
	if _, err := c.Reserve(t.Context(), "watched-only", 1); err != nil {
		t.Fatal(err)
	}
	push(t, c, "buried-only", "x")
	if err := c.Bury(t.Context(), reserve(t, c, "buried-only", 1)); err != nil {
		t.Fatal(err)
	}
	got, err := c.Queues(t.Context())
	if err != nil || !slices.Equal(got, []string{"full"}) {
		t.Errorf("Queues returned %q, %v", got, err)
	}
}

func TestClearSaysWhatOthersHold(t *testing.T) {
	t.Parallel()
	addr := testserver.Beanstalkd(t)
	c, other, q := open(t, addr, nil), open(t, addr, nil), tube()
	push(t, c, q, "theirs", "kept", "mine", "ready")
	theirs := reserve(t, other, q, 1)
	wait(t, c, q)
	n, err := c.Clear(t.Context(), q)
	if n != 3 || err == nil {
		t.Errorf("Clear returned %d and %v, want 3 and that one is held by others", n, err)
	}
	if err := other.Delete(t.Context(), theirs); err != nil {
		t.Errorf("Delete of a job that another's Clear couldn't delete: %v", err)
	}
}

func TestAdvise(t *testing.T) {
	t.Parallel()
	if advice, err := open(t, testserver.NewBeanstalkd(t).Addr, nil).Advise(t.Context()); err != nil || len(advice) != 0 {
		t.Errorf("a server with a log gets the advice %q, %v", advice, err)
	}
	if advice, err := open(t, testserver.Beanstalkd(t), nil).Advise(t.Context()); err != nil || len(advice) != 1 {
		t.Errorf("a server without a log gets the advice %q, %v", advice, err)
	}
}
