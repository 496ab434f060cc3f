package sqsqueue

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

var _ OverflowStore = cache.Store(nil)

// faulty is a cache that fails on demand, and knows its keys.
type faulty struct {
	*cache.Memory
	err  error
	keys []string
}

func (f *faulty) Put(ctx context.Context, key string, value any, ttl time.Duration) error {
	if f.err != nil {
		return f.err
	}
	f.keys = append(f.keys, key)
	return f.Memory.Put(ctx, key, value, ttl)
}

func (f *faulty) Many(ctx context.Context, keys ...string) (map[string]string, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Memory.Many(ctx, keys...)
}

// stored is how many of the bodies are still there.
func (f *faulty) stored(t *testing.T) int {
	t.Helper()
	m, err := f.Memory.Many(t.Context(), f.keys...)
	must(t, err)
	return len(m)
}

// overflowing returns a connection that keeps large bodies in a cache, and a
// queue.
func overflowing(t *testing.T, change func(*Overflow)) (*Conn, *faulty, string) {
	t.Helper()
	store := &faulty{Memory: cache.NewMemory()}
	c := connect(t, testserver.SQS(t), func(o *Options) {
		o.Overflow.Store = store
		if change != nil {
			change(&o.Overflow)
		}
	})
	q := name("")
	create(t, c, q)
	return c, store, q
}

func TestOverflow(t *testing.T) {
	c, store, q := overflowing(t, nil)
	below, at, over := strings.Repeat("x", MaxBody-1), strings.Repeat("y", MaxBody), strings.Repeat("z", 5*MaxBody)
	push(t, c, q, below, at, over)
	if len(store.keys) != 2 {
		t.Fatalf("%d bodies are kept in the cache, want those of 1 MiB and more", len(store.keys))
	}
	rs := reserve(t, c, q, 10)
	if got := sorted(bodies(rs)); !slices.Equal(got, []string{below, at, over}) {
		t.Fatalf("%d bodies came back, or others than pushed", len(got))
	}
	must(t, c.Release(t.Context(), rs, 0))
	rs = reserve(t, c, q, 10)
	if got := sorted(bodies(rs)); !slices.Equal(got, []string{below, at, over}) {
		t.Fatalf("%d bodies came back after a release, or others than pushed", len(got))
	}
	must(t, c.Delete(t.Context(), rs))
	if n := store.stored(t); n != 2 {
		t.Errorf("%d bodies are left in the cache, want both: nobody said to delete them", n)
	}
}

// The form that Laravel 13 writes and reads.
func TestOverflowPointer(t *testing.T) {
	c, store, q := overflowing(t, func(o *Overflow) { o.Always, o.DeleteAfterProcessing = true, true })
	push(t, c, q, `{"job":"a"}`)
	raw := connect(t, testserver.SQS(t), nil)
	rs := reserve(t, raw, q, 1)
	form := regexp.MustCompile(`^\{"@pointer":"(laravel:sqs-payloads:[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"\}$`)
	found := form.FindSubmatch(rs[0].Body)
	if found == nil || string(found[1]) != store.keys[0] {
		t.Fatalf("the message is %s, the keys are %q", rs[0].Body, store.keys)
	}
	must(t, raw.Release(t.Context(), rs, 0))
	rs = reserve(t, c, q, 1)
	if got := string(rs[0].Body); got != `{"job":"a"}` {
		t.Fatalf("the body is %s", got)
	}
	must(t, c.Delete(t.Context(), rs))
	if n := store.stored(t); n != 0 {
		t.Error("the body is left in the cache")
	}

	// One that PHP wrote, and one whose body is gone.
	must(t, store.Memory.Put(t.Context(), "laravel:sqs-payloads:of-php", `{"job":"b"}`, 0))
	push(t, raw, q, `{"@pointer":"laravel:sqs-payloads:of-php"}`, `{"@pointer":"laravel:sqs-payloads:gone"}`, `{"@pointer":7}`)
	want := []string{`{"@pointer":"laravel:sqs-payloads:gone"}`, `{"@pointer":7}`, `{"job":"b"}`}
	if got := sorted(bodies(reserve(t, c, q, 10))); !slices.Equal(got, want) {
		t.Errorf("the bodies are %q, want %q", got, want)
	}
}

func TestOverflowWithoutItsCache(t *testing.T) {
	c, store, q := overflowing(t, nil)
	push(t, c, q, strings.Repeat("x", MaxBody))
	store.err = errors.New("the cache is down")
	if _, err := c.Push(t.Context(), q, messages("small", strings.Repeat("y", MaxBody))); !errors.Is(err, store.err) {
		t.Errorf("a push without the cache: %v", err)
	}
	if rs, err := c.Reserve(t.Context(), q, 10); !errors.Is(err, store.err) || len(rs) != 0 {
		t.Errorf("a reserve without the cache returned %d jobs and %v", len(rs), err)
	}
	store.err = nil
	rs := reserve(t, c, q, 10) // at once: it was put back
	if len(rs) != 1 || len(rs[0].Body) != MaxBody {
		t.Errorf("with the cache came %d jobs", len(rs))
	}
}

func TestOverflowOfARefusedMessage(t *testing.T) {
	c, store, _ := overflowing(t, func(o *Overflow) { o.Always = true })
	alter(c).send = func(in *sqs.SendMessageBatchInput) (*sqs.SendMessageBatchOutput, error) {
		bad := "\x01"
		in.Entries[1].MessageBody = &bad // so that SQS refuses it
		return nil, nil
	}
	q := name("")
	create(t, c, q)
	ids, err := c.Push(t.Context(), q, messages("a", "b", "c"))
	var e *PushError
	if !errors.As(err, &e) || len(ids) != 1 || e.Beyond != 1 {
		t.Fatalf("Push returned %d ids and %v", len(ids), err)
	}
	if n := store.stored(t); n != 2 {
		t.Errorf("%d bodies are kept in the cache, want those of the two stored", n)
	}
	if got := sorted(bodies(reserve(t, c, q, 10))); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("stored are %q", got)
	}
}

func TestBodiesOverTheLimitWithoutOverflow(t *testing.T) {
	c := connect(t, testserver.SQS(t), nil)
	q := name("")
	create(t, c, q)
	_, err := c.Push(t.Context(), q, messages(strings.Repeat("x", MaxBody+1)))
	var limit *driver.LimitError
	if !errors.As(err, &limit) || limit.What != "body" || limit.Have != MaxBody+1 || limit.Max != MaxBody {
		t.Errorf("a body one byte over the limit: %v", err)
	}
	push(t, c, q, strings.Repeat("x", MaxBody))
}

// Clearing the queue empties the cache, if it is told so.
func TestOverflowFlushedOnClear(t *testing.T) {
	for _, flush := range []bool{false, true} {
		c, store, q := overflowing(t, func(o *Overflow) { o.Always, o.FlushOnClear = true, flush })
		push(t, c, q, "a", "b")
		must(t, store.Memory.Put(t.Context(), "another", "v", 0))
		if n, err := c.Clear(t.Context(), q); err != nil || n != 2 {
			t.Errorf("Clear returned %d, %v", n, err)
		}
		want := 2
		if flush {
			want = 0
		}
		if n := store.stored(t); n != want {
			t.Errorf("FlushOnClear %v: %d bodies are left in the cache, want %d", flush, n, want)
		}
		if m, err := store.Memory.Many(t.Context(), "another"); err != nil || (len(m) == 0) != flush {
			t.Errorf("FlushOnClear %v: of other values %v is left, %v", flush, m, err)
		}
	}
	if _, err := New(&sqs.Client{}, &Options{Overflow: Overflow{FlushOnClear: true}}); err == nil {
		t.Error("FlushOnClear without a store that can be emptied was accepted")
	}
}
