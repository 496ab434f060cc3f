package laravel

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/worker"
)

// TestRescue: a worker of one side is killed in a job, and one of the other side
// takes it over, not before the reservation has run out.
func TestRescue(t *testing.T) {
	short := map[string]string{"RETRY_AFTER": fmt.Sprint(retryAfter)}
	matrix(t,
		cell{name: "PHP is killed, Go takes over", env: short, show: goTakesOver},
		cell{name: "Go is killed, PHP takes over", env: short, show: phpTakesOver},
	)
}

const (
	retryAfter = 4 // seconds
	endureJob  = `App\Jobs\Endure`
)

// run is a line of a job that tells of its beginning.
type run struct {
	attempt int
	at      time.Time
	by      string
}

// began are the runs of App\Jobs\Endure so far, by either side.
func (a *application) began() []run {
	a.t.Helper()
	var all []run
	for _, r := range a.reports() {
		if r.Event != "began" {
			continue
		}
		var data struct{ By string }
		if err := json.Unmarshal(r.Data, &data); err != nil {
			a.t.Fatal(err)
		}
		all = append(all, run{r.Attempt, time.UnixMicro(int64(r.Time * 1e6)), data.By})
	}
	return all
}

// takenOver waits for the second run of the job and checks it. The job was
// reserved, or its reservation last renewed, at since or later.
func takenOver(t *testing.T, a *application, by string, since, killed time.Time) {
	t.Helper()
	await(t, "the job is taken over", func() bool { return len(a.began()) == 2 })
	second := a.began()[1]
	if second.by != by || second.attempt != 2 {
		t.Errorf("taken over by %s as attempt %d", second.by, second.attempt)
	}
	if a.backend.kind == "beanstalkd" { // which knows at once that a worker has gone
		since = killed.Add(-retryAfter * time.Second)
	}
	// Stores and PHP count whole seconds.
	if early := since.Unix() + retryAfter - second.at.Unix(); early > 0 || second.at.Before(killed.Truncate(time.Millisecond)) {
		t.Errorf("taken over %v after the reservation, %v after the kill: %d s early", second.at.Sub(since), second.at.Sub(killed), early)
	}
}

func goTakesOver(t *testing.T, a *application) {
	php := a.start("queue:work", "--sleep=0.1")
	since := time.Now()
	a.push("endure", 1)
	await(t, "PHP runs the job", func() bool { return php.ended() || len(a.began()) == 1 })
	mux := spool.NewMux()
	mux.HandleFunc(endureJob, a.endure())
	run := a.startGo(mux, func(o *worker.Options) { o.MaxJobs, o.Sleep = 1, 100*time.Millisecond })
	killed := time.Now()
	php.kill()
	takenOver(t, a, "Go", since, killed)
	if res := run.result(); res.Processed != 1 || res.Failed != 0 {
		t.Errorf("Spool's worker ended with %+v", res)
	}
	a.isEmpty("")
}

// phpTakesOver lets the job run for longer than retry_after: Go's worker renews
// its reservation, so that PHP's doesn't take it before.
func phpTakesOver(t *testing.T, a *application) {
	spooler := a.startRole("endure")
	pushed := time.Now()
	a.push("endure", 1)
	await(t, "Go runs the job", func() bool { return spooler.ended() || len(a.began()) == 1 })
	if spooler.ended() {
		t.Fatal("Spool's worker has ended")
	}
	php := a.start("queue:work", "--sleep=0.1", "--max-jobs=1")
	over := pushed.Add((2*retryAfter - 2) * time.Second)
	await(t, "the first reservation would be over", func() bool { return time.Now().After(over) })
	if n := len(a.began()); n != 1 {
		t.Fatalf("the job has begun %d times while its worker lived", n)
	}
	killed := time.Now()
	spooler.kill()
	// The worker renews every third of retry_after, so it did so not long ago.
	takenOver(t, a, "PHP", killed.Add(-2*retryAfter*time.Second/3), killed)
	if code := php.exitCode(); code != 0 {
		t.Errorf("PHP's worker ended with %d", code)
	}
	a.isEmpty("")
}

// endure is the job in Go: it tells of its beginning as PHP does, and takes as
// long.
func (a *application) endure() spool.HandlerFunc {
	return func(ctx context.Context, job *spool.Job) error {
		err := report{
			Event: "began", UUID: job.UUID, Attempt: job.Attempt, Queue: job.Queue, Connection: job.Connection,
			Time: float64(time.Now().UnixMicro()) / 1e6, Data: json.RawMessage(`{"by":"Go"}`),
		}.write(a.report)
		if err != nil || job.Attempt > 1 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(patience):
			return nil
		}
	}
}

// write adds the report to a file, as app/Support/Report.php does.
func (r report) write(path string) error {
	line, err := json.Marshal(map[string]any{
		"event": r.Event, "time": r.Time, "uuid": r.UUID, "attempt": r.Attempt, "queue": r.Queue, "connection": r.Connection, "data": r.Data,
	})
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if _, err := file.Write(append(line, '\n')); err != nil {
		return err
	}
	return file.Close()
}

// endureRole is a process of Spool's that works the application's queue.
func endureRole() int {
	err := func() error {
		cfg, err := config.Load(&config.Options{Environ: os.Environ()})
		if err != nil {
			return err
		}
		mux := spool.NewMux()
		mux.HandleFunc(endureJob, (&application{report: os.Getenv("INTEROP_REPORT")}).endure())
		set, err := connect.New(cfg, &connect.Options{Mux: mux, Logger: slog.Default()})
		if err != nil {
			return err
		}
		conn, err := set.Manager.Connection(context.Background(), "")
		if err != nil {
			return err
		}
		o, err := set.WorkerOptions(context.Background())
		if err != nil {
			return err
		}
		o.Sleep = 100 * time.Millisecond
		_, err = worker.New(conn, mux, o).Run(context.Background())
		return err
	}()
	fmt.Fprintln(os.Stderr, "the worker has ended:", err)
	return 1
}
