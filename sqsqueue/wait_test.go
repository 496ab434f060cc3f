package sqsqueue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

// countReceives counts the requests for jobs of a connection.
func countReceives(c *Conn) *atomic.Int64 {
	n := new(atomic.Int64)
	alter(c).receive = func(*sqs.ReceiveMessageInput) { n.Add(1) }
	return n
}

// One request for each queue outlasts many calls of Wait: AWS bills requests.
func TestWaitGoesOnWithItsRequests(t *testing.T) {
	c := connect(t, testserver.SQS(t), func(o *Options) { o.PollFor = 20 * time.Second })
	a, b := name(""), name("")
	create(t, c, a)
	create(t, c, b)
	n := countReceives(c)
	for range 20 {
		must(t, c.Wait(t.Context(), []string{a, b}, 20*time.Millisecond))
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if err := c.Wait(t.Context(), []string{b, a}, 20*time.Millisecond); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := n.Load(); got != 2 {
		t.Errorf("25 waits for two idle queues took %d requests, want 2", got)
	}
	push(t, c, a, "1") // ends them, so that Close needn't wait
	push(t, c, b, "1")
}

// While a worker deals with one queue, the request for the other may still
// bring a job. It must be the next Reserve's, once.
func TestWhatWaitHasReceivedIsReservedOnce(t *testing.T) {
	endpoint := testserver.SQS(t)
	c, other := connect(t, endpoint, nil), connect(t, endpoint, nil)
	a, b := name(""), name("")
	create(t, c, a)
	create(t, c, b)
	want := []string{}
	got := map[string]int{}
	for i := range 20 {
		body := string(rune('a' + i))
		want = append(want, body)
		queue := []string{a, b}[i%2]
		pushed := make(chan struct{})
		go func() {
			defer close(pushed)
			if _, err := other.Push(t.Context(), queue, messages(body)); err != nil {
				t.Error(err)
			}
		}()
		must(t, c.Wait(t.Context(), []string{a, b}, time.Minute))
		for _, q := range []string{a, b} {
			rs := reserve(t, c, q, 3)
			for _, r := range rs {
				got[string(r.Body)]++
				if r.Attempts != 1 || r.Queue != q {
					t.Errorf("job %s comes from %s as attempt %d", r.Body, r.Queue, r.Attempts)
				}
			}
			must(t, c.Delete(t.Context(), rs))
		}
		<-pushed
	}
	for _, body := range want {
		if got[body] != 1 {
			t.Errorf("job %s was reserved %d times", body, got[body])
		}
	}
}

// eventually polls until ready or fails the test.
func eventually(t *testing.T, what string, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ready(); {
		if time.Now().After(deadline) {
			t.Fatal("not in time: " + what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// A job that Wait has received may be reserved late: it is kept, and its lease
// is whole then.
func TestKeptJobsHaveWholeLeases(t *testing.T) {
	endpoint := testserver.SQS(t)
	c, other := connect(t, endpoint, nil), connect(t, endpoint, nil)
	q := name("")
	create(t, c, q)
	lease := c.Traits().Lease

	push(t, c, q, "a")
	must(t, c.Wait(t.Context(), []string{q}, time.Minute))
	for end := time.Now().Add(3 * lease / 2); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if rs := reserve(t, other, q, 1); len(rs) != 0 {
			t.Fatal("another got the job while it is kept")
		}
	}
	reserved := time.Now()
	rs := reserve(t, c, q, 1)
	if len(rs) != 1 || rs[0].Attempts != 1 {
		t.Fatalf("after a lease and a half Reserve returned %d jobs", len(rs))
	}
	eventually(t, "the job comes back", func() bool { return len(reserve(t, other, q, 1)) == 1 })
	if held := time.Since(reserved); held < lease-c.Traits().Resolution {
		t.Errorf("the lease of a job reserved late lasted %v, want %v", held, lease)
	}
}

// A kept job whose lease couldn't be renewed isn't handed out.
func TestKeptJobsMayBeLost(t *testing.T) {
	endpoint := testserver.SQS(t)
	c, other := connect(t, endpoint, nil), connect(t, endpoint, nil)
	q := name("")
	create(t, c, q)
	alter(c).change = func(*sqs.ChangeMessageVisibilityBatchInput) (*sqs.ChangeMessageVisibilityBatchOutput, error) {
		return nil, errors.New("no answer")
	}
	push(t, c, q, "b")
	must(t, c.Wait(t.Context(), []string{q}, time.Minute))
	var rs []driver.Reservation
	eventually(t, "the job comes back", func() bool { rs = reserve(t, other, q, 1); return len(rs) == 1 })
	if rs[0].Attempts != 2 {
		t.Errorf("it comes back as attempt %d, want 2", rs[0].Attempts)
	}
	if rs := reserve(t, c, q, 1); len(rs) != 0 {
		t.Error("a job was handed out that another holds")
	}
}

func TestCloseHandsBackWhatNobodyReserved(t *testing.T) {
	endpoint := testserver.SQS(t)
	c, other := connect(t, endpoint, func(o *Options) { o.RetryAfter = time.Hour }), connect(t, endpoint, nil)
	q := name("")
	create(t, c, q)
	push(t, c, q, "a")
	must(t, c.Wait(t.Context(), []string{q}, time.Minute))
	must(t, c.Close())
	if got := bodies(reserve(t, other, q, 1)); !slices.Equal(got, []string{"a"}) {
		t.Errorf("after Close the jobs are %q, want the one that Wait had received", got)
	}
	if err := c.Wait(t.Context(), []string{q}, time.Second); !errors.Is(err, driver.ErrClosed) {
		t.Errorf("Wait after Close returned %v", err)
	}
}

// A worker that stops leaves a request behind, which may take a job: SQS goes
// on with it even if it is broken off. The job mustn't stay hidden.
func TestWhatNobodyWaitsForIsHandedBack(t *testing.T) {
	endpoint := testserver.SQS(t)
	c := connect(t, endpoint, func(o *Options) { o.RetryAfter, o.PollFor = time.Hour, 20*time.Second })
	other := connect(t, endpoint, nil)
	q := name("")
	create(t, c, q)
	asked := countReceives(c)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Wait(ctx, []string{q}, time.Minute) }()
	eventually(t, "the request is made", func() bool { return asked.Load() == 1 })
	time.Sleep(100 * time.Millisecond) // it has arrived
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait returned %v", err)
	}
	push(t, other, q, "a")
	var rs []driver.Reservation
	eventually(t, "another gets the job", func() bool { rs = reserve(t, other, q, 1); return len(rs) == 1 })
	if n := rs[0].Attempts; n > 2 {
		t.Errorf("it comes as attempt %d, want 2 at most", n)
	}
	must(t, other.Delete(t.Context(), rs))

	// A wait that is over because of its time is followed by another.
	must(t, c.Wait(t.Context(), []string{q}, 10*time.Millisecond))
	push(t, other, q, "b")
	eventually(t, "the job is kept", func() bool { return c.hasKept([]string{mustURL(t, c, q)}) })
	if got := bodies(reserve(t, c, q, 1)); !slices.Equal(got, []string{"b"}) {
		t.Errorf("the next Reserve returned %q", got)
	}
}
