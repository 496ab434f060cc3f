package laravel

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/limit"
	"github.com/spoolq/spool/worker"
)

// The jobs of app/app/Jobs/Locked.
const (
	uniqueJob      = `App\Jobs\Locked\Unique`
	uniqueUntilJob = `App\Jobs\Locked\UniqueUntilProcessing`
	overlapJob     = `App\Jobs\Locked\Overlapping`
	limitedJob     = `App\Jobs\Locked\Limited`
	throttledJob   = `App\Jobs\Locked\Throttled`
	redisLimited   = `App\Jobs\Locked\RedisLimited`
	throttleJob    = `App\Jobs\Locked\Throttle`
	funnelJob      = `App\Jobs\Locked\Funnel`
)

// TestLocks: a lock or a limit of either side holds for the other one, in each
// cache store that both have.
func TestLocks(t *testing.T) {
	all := []cell{
		{name: "unique jobs", show: uniqueJobs},
		{name: "a rate limit of both", show: rateLimited},
		{name: "Go's job is not overlapped by PHP's", show: overlapGo},
		{name: "PHP's job is not overlapped by Go's", show: overlapPHP},
		{name: "unique until processing", show: uniqueUntilProcessing},
		{name: "a unique lock that is another's by now", show: uniqueOfAnother},
		{name: "exceptions of both are throttled", show: exceptionsThrottled},
	}
	var cells []cell
	add := func(store, on string, which []cell) {
		for _, c := range which {
			cells = append(cells, cell{c.name + ", by the " + store + " cache", c.show, []string{on}, map[string]string{"CACHE_DRIVER": store}})
		}
	}
	add("redis", "phpredis", all)
	add("database", "mysql", all)
	add("file", "beanstalkd", all)
	add("redis", "predis", all[:2]) // the same store with another client or database
	add("database", "pgsql", all[:3])
	add("database", "sqlite", all[:3])
	matrix(t, append(cells,
		cell{name: "a rate limit of both, without a cache", show: rateLimitedByRedis, on: []string{"predis"}},
		cell{name: "Redis::throttle", show: redisThrottle, on: []string{"phpredis"}},
		cell{name: "Redis::funnel", show: redisFunnel, on: []string{"redis"}},
	)...)
}

// lab is the application with what the cells of this file need of both sides.
type lab struct {
	*application
	client *spool.Client
	locks  spool.Locks
	redis  *limit.Store // nil where the queue isn't in Redis
	ran    atomic.Int32 // jobs that Go has run
}

func newLab(t *testing.T, a *application) *lab {
	t.Helper()
	set := a.spool(nil)
	locks, err := set.Cache(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{application: a, client: set.Client, locks: locks}
	if a.backend.kind == "redis" {
		if l.redis, err = set.RedisLimits(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// handling is a mux with a handler of one class, which counts what it runs.
func (l *lab) handling(class string, fn func(ctx context.Context) error, opts ...spool.HandlerOption) *spool.Mux {
	mux := spool.NewMux()
	mux.HandleFunc(class, func(ctx context.Context, _ *spool.Job) error {
		l.ran.Add(1)
		if fn == nil {
			return nil
		}
		return fn(ctx)
	}, opts...)
	return mux
}

// inPHP is how many jobs PHP has begun.
func (l *lab) inPHP() (n int) {
	for _, r := range l.reports() {
		if r.Event == "handled" {
			n++
		}
	}
	return n
}

// waiting is how many jobs are on the queue, in all.
func (l *lab) waiting() int64 {
	l.t.Helper()
	conn, err := l.client.Manager().Connection(l.t.Context(), "")
	if err != nil {
		l.t.Fatal(err)
	}
	size, err := conn.Size(l.t.Context(), "")
	if err != nil {
		l.t.Fatal(err)
	}
	return size.Total()
}

// file makes a file that PHP's jobs look for, see Locked\Job, until remove.
func (l *lab) file(name string) (remove func()) {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	l.write(name, "")
	return func() {
		l.t.Helper()
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			l.t.Error(err)
		}
	}
}

// owner is who holds a lock.
func (l *lab) owner(name string) string {
	l.t.Helper()
	owner, err := l.locks.Owner(l.t.Context(), name)
	if err != nil {
		l.t.Fatal(err)
	}
	return owner
}

// expect checks how many jobs have run and how many wait.
func (l *lab) expect(when string, php int, golang int32, waiting int64) {
	l.t.Helper()
	if p, g, w := l.inPHP(), l.ran.Load(), l.waiting(); p != php || g != golang || w != waiting {
		l.t.Errorf("%s: PHP has run %d, Go %d, and %d wait; want %d, %d and %d", when, p, g, w, php, golang, waiting)
	}
}

// idOf is the uniqueId of the jobs here.
func idOf(job *spool.Job) (string, error) {
	var locked struct{ ID int }
	err := job.Decode(&locked)
	return strconv.Itoa(locked.ID), err
}

// onlyOne has a worker of Spool end after a job.
func onlyOne(o *worker.Options) { o.Once = true }

// dispatch has Go dispatch job 1 of a class.
func (l *lab) dispatch(class string, opts ...spool.DispatchOption) spool.Ref {
	l.t.Helper()
	ref, err := spool.Dispatch(l.t.Context(), l.client, laravel.NewCommand(class, laravel.Public("id", 1)), opts...)
	if err != nil {
		l.t.Fatal(err)
	}
	return ref
}

func uniqueJobs(t *testing.T, a *application) {
	l := newLab(t, a)
	const lock = `laravel_unique_job:` + uniqueJob + `1`
	mux := l.handling(uniqueJob, nil, spool.UniqueBy(idOf))

	a.push("unique", 1, "unique", 1) // PHP itself skips the second
	if ref := l.dispatch(uniqueJob, spool.Unique("1")); !ref.Skipped {
		t.Errorf("Go has dispatched %+v beside PHP's job", ref)
	}
	if ref := l.dispatch(uniqueJob, spool.Unique("2")); ref.Skipped {
		t.Error("another id was skipped")
	}
	l.expect("pushed by PHP", 0, 0, 2)
	a.workGo(mux)
	l.expect("run by Go", 0, 2, 0)
	if o := l.owner(lock); o != "" {
		t.Fatalf("Go has run PHP's job, and its lock is %s's", o)
	}

	ref := l.dispatch(uniqueJob, spool.Unique("1"))
	if ref.Skipped || l.owner(lock) != ref.UUID {
		t.Errorf("%+v, and the lock is %q's", ref, l.owner(lock))
	}
	a.push("unique", 1)
	l.expect("pushed by Go, then by PHP", 0, 2, 1)
	a.work()
	l.expect("run by PHP", 1, 2, 0)
	if o := l.owner(lock); o != "" {
		t.Errorf("PHP has run Go's job, and its lock is %s's", o)
	}

	// A job that fails for good frees it too.
	a.push("unique", 1)
	a.workGo(l.handling(uniqueJob, func(context.Context) error { return spool.Fail(nil) }, spool.UniqueBy(idOf)))
	if o := l.owner(lock); o != "" {
		t.Errorf("PHP's job has failed in Go, and its lock is %s's", o)
	}
}

func uniqueUntilProcessing(t *testing.T, a *application) {
	l := newLab(t, a)
	again := true
	mux := l.handling(uniqueUntilJob, func(context.Context) error {
		if again {
			again = false
			a.push("unique until processing", 1, "unique until processing", 1)
		}
		return nil
	}, spool.UniqueBy(idOf), spool.UniqueUntilProcessing())
	a.push("unique until processing", 1)
	a.workGo(mux, onlyOne)
	l.expect("pushed by PHP again, twice, while Go ran it", 0, 1, 1)
	a.workGo(mux)

	if ref := l.dispatch(uniqueUntilJob, spool.Unique("1"), spool.UniqueUntilProcessing()); ref.Skipped {
		t.Error("Go's job was skipped")
	}
	release := l.file("hold")
	php := a.start("queue:work", "--once")
	await(t, "PHP runs Go's job", func() bool { return l.inPHP() == 1 })
	if ref := l.dispatch(uniqueUntilJob, spool.Unique("1"), spool.UniqueUntilProcessing()); ref.Skipped {
		t.Error("Go's job was skipped while PHP runs the one before")
	}
	release()
	php.exitCode()
	l.expect("run by PHP", 1, 2, 1)
}

// A lock whose time was over is another's when its first job ends.
func uniqueOfAnother(t *testing.T, a *application) {
	l := newLab(t, a)
	const lock = `laravel_unique_job:` + uniqueJob + `1`
	first := l.dispatch(uniqueJob, spool.Unique("1"), spool.UniqueFor(time.Second))
	await(t, "the lock ends", func() bool { return l.owner(lock) == "" })
	a.push("unique", 1)
	php := l.owner(lock)
	if php == "" || php == first.UUID {
		t.Fatalf("PHP's job has the lock of %q", php)
	}
	a.workGo(l.handling(uniqueJob, nil, spool.UniqueBy(idOf)), onlyOne)
	if l.ran.Load() != 1 || l.owner(lock) != php {
		t.Errorf("after %d jobs of Go the lock is %q's, want PHP's %s", l.ran.Load(), l.owner(lock), php)
	}
	a.work()
	if o := l.owner(lock); o != "" {
		t.Errorf("PHP has run its job, and its lock is %s's", o)
	}
}

func overlapping(store *limit.Store) spool.HandlerOption {
	return spool.Through(limit.WithoutOverlapping(func(job *spool.Job) string {
		id, _ := idOf(job)
		return id
	}, &limit.OverlapOptions{Store: store, After: time.Hour}))
}

func overlapPHP(t *testing.T, a *application) {
	l := newLab(t, a)
	const lock = `laravel-queue-overlap:` + overlapJob + `:1`
	release := l.file("hold")
	a.push("overlapping", 1)
	php := a.start("queue:work", "--once")
	await(t, "PHP runs its job", func() bool { return l.inPHP() == 1 })
	if l.owner(lock) == "" {
		t.Fatal("PHP has no lock")
	}
	a.push("overlapping", 1)
	var attempts []int
	note := spool.Through(func(next spool.HandlerFunc) spool.HandlerFunc {
		return func(ctx context.Context, job *spool.Job) error {
			attempts = append(attempts, job.Attempt)
			return next(ctx, job)
		}
	})
	a.workGo(l.handling(overlapJob, nil, note, overlapping(nil)))
	if l.ran.Load() != 0 || len(attempts) != 1 {
		t.Errorf("beside PHP's job Go ran %d, at attempts %v", l.ran.Load(), attempts)
	}

	// PHP loses its lock, Go takes it, and PHP's end leaves it alone.
	if err := l.locks.ForceRelease(t.Context(), lock); err != nil {
		t.Fatal(err)
	}
	l.dispatch(overlapJob)
	a.workGo(l.handling(overlapJob, func(context.Context) error {
		mine := l.owner(lock)
		release()
		php.exitCode()
		if o := l.owner(lock); o != mine || mine == "" {
			t.Errorf("Go's lock was %q's, and after the end of PHP's job it is %q's", mine, o)
		}
		return nil
	}, overlapping(nil)), onlyOne)
	if l.ran.Load() != 1 || l.owner(lock) != "" {
		t.Errorf("Go ran %d jobs, and the lock is %q's", l.ran.Load(), l.owner(lock))
	}
}

func overlapGo(t *testing.T, a *application) {
	l := newLab(t, a)
	const lock = `laravel-queue-overlap:` + overlapJob + `:1`
	l.dispatch(overlapJob)
	a.workGo(l.handling(overlapJob, func(context.Context) error {
		mine := l.owner(lock)
		a.push("overlapping", 1)
		a.artisan("queue:work", "--once")
		if o := l.owner(lock); l.inPHP() != 0 || o != mine || mine == "" {
			t.Errorf("beside Go's job PHP ran %d; the lock was %q's and is %q's", l.inPHP(), mine, o)
		}
		return nil
	}, overlapping(nil)), onlyOne)
	l.expect("Go's job is done, PHP's was released", 0, 1, 1)
	l.dispatch(overlapJob)
	a.artisan("queue:work", "--once")
	l.expect("the lock is free for PHP", 1, 1, 1)
}

func rateLimited(t *testing.T, a *application) {
	l := newLab(t, a)
	mw := limit.RateLimited("orders", func(*spool.Job) []limit.Limit { return []limit.Limit{limit.PerHour(3).By("鞋")} }, nil)
	limitOfBoth(t, l, "limited", limitedJob, mw)
}

func rateLimitedByRedis(t *testing.T, a *application) {
	l := newLab(t, a)
	mw := limit.RateLimited("redis-orders", func(*spool.Job) []limit.Limit { return []limit.Limit{limit.PerHour(3)} }, &limit.RateOptions{Store: l.redis})
	limitOfBoth(t, l, "limited by redis", redisLimited, mw)
}

func redisThrottle(t *testing.T, a *application) {
	l := newLab(t, a)
	limitOfBoth(t, l, "throttle", throttleJob, limit.Throttle("interop-throttle").Allow(3).Every(time.Hour).In(l.redis).Middleware())
}

// limitOfBoth has jobs that may run three times in an hour run twice in PHP and
// once in Go, then offers more to both.
func limitOfBoth(t *testing.T, l *lab, kind, class string, mw spool.Middleware) {
	t.Helper()
	l.push(kind, 2)
	l.work()
	l.expect("two jobs", 2, 0, 0)
	mux := l.handling(class, nil, spool.Through(mw))
	l.push(kind, 2)
	l.workGo(mux)
	l.expect("the third is Go's, the fourth waits", 2, 1, 1)
	l.push(kind, 1)
	l.work()
	l.expect("the fifth waits too", 2, 1, 2)
}

func exceptionsThrottled(t *testing.T, a *application) {
	l := newLab(t, a)
	calm := l.file("throw")
	mw := spool.Through(limit.ThrottlesExceptions(2, time.Hour, &limit.ExceptionOptions{Backoff: time.Hour}))
	a.push("throttled", 1)
	a.work()
	l.expect("an exception in PHP", 1, 0, 1)
	a.push("throttled", 1)
	a.workGo(l.handling(throttledJob, func(context.Context) error { return errors.New("拒绝") }, mw))
	l.expect("and one in Go", 1, 1, 2)
	calm()
	a.push("throttled", 1)
	a.work()
	l.expect("PHP holds jobs back", 1, 1, 3)
	a.push("throttled", 1)
	a.workGo(l.handling(throttledJob, nil, mw))
	l.expect("and so does Go", 1, 1, 4)
}

func redisFunnel(t *testing.T, a *application) {
	l := newLab(t, a)
	funnel := limit.Funnel("interop-funnel").Limit(2).Again(time.Hour).In(l.redis).Middleware()
	release := l.file("hold")
	a.push("funnel", 1)
	php := a.start("queue:work", "--once")
	await(t, "PHP runs its job", func() bool { return l.inPHP() == 1 })
	a.push("funnel", 1)
	a.workGo(l.handling(funnelJob, func(context.Context) error {
		// Both slots are taken.
		a.push("funnel", 1)
		a.artisan("queue:work", "--once")
		if l.inPHP() != 1 {
			t.Errorf("PHP ran %d jobs at a time with Go's", l.inPHP())
		}
		return limit.Funnel("interop-funnel").Limit(2).In(l.redis).Do(t.Context(), func(context.Context) error {
			t.Error("a third slot was given")
			return nil
		})
	}, spool.Through(funnel)), onlyOne)
	release()
	php.exitCode()
	for _, slot := range []string{"interop-funnel1", "interop-funnel2"} {
		if o, err := l.redis.Locks.Owner(t.Context(), slot); o != "" || err != nil {
			t.Errorf("%s is %q's still, %v", slot, o, err)
		}
	}
}
