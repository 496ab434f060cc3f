package proof

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/worker"
)

// programEnv makes the test binary a worker: it holds a program as JSON.
const programEnv = "SPOOL_PROOF_WORKER"

func TestMain(m *testing.M) {
	if text := os.Getenv(programEnv); text != "" {
		os.Exit(runProgram(text))
	}
	testserver.Main(m)
}

// program is what a worker process does.
type program struct {
	Place       place
	Diary       string // file that the runs of jobs are written to
	Concurrency int
	Grace       time.Duration // of a stop; 0: the worker's default
}

// Work is the job of all proofs.
type Work struct {
	// Take is how long it runs.
	Take time.Duration `json:"take"`
	// Fail makes it fail for good at its end.
	Fail bool `json:"fail,omitempty"`
}

// runProgram is the main function of a worker process. It ends on SIGTERM, and
// when its standard input does, which is when the test is gone.
func runProgram(text string) int {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	code, err := work(ctx, text)
	if err != nil {
		slog.Error("the worker process failed", "error", err)
		return 2
	}
	return code
}

func work(ctx context.Context, text string) (code int, err error) {
	var p program
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return 0, err
	}
	d, err := openDiary(p.Diary)
	if err != nil {
		return 0, err
	}
	s, err := p.Place.open(ctx)
	if err != nil {
		return 0, errors.Join(err, d.file.Close())
	}
	defer func() { err = errors.Join(err, s.close(), d.file.Close()) }()
	mux := spool.NewMux()
	spool.Handle(mux, d.run)
	spool.Listen(s.conn.Events(), func(context.Context, spool.WorkerStarting) { fmt.Println("ready") })
	w := worker.New(s.conn, mux, &worker.Options{Concurrency: p.Concurrency, Grace: p.Grace, Failed: s.failed})
	res, err := w.Run(ctx)
	return res.ExitCode, err
}

// What a diary says of a run. A cancelled run ends with the moment at which
// its handler noticed.
const (
	started   = "start"
	ended     = "end"
	cancelled = "cancelled"
)

// entry is one line of a diary.
type entry struct {
	What    string `json:"what"`
	UUID    string `json:"uuid"`
	Attempt int    `json:"attempt"`
	At      int64  `json:"at"` // by the wall clock, which all processes share; nanoseconds
}

// diary is where a worker process writes down what its handlers do. A line is
// one write, so that no kill leaves half of it.
type diary struct {
	mu   sync.Mutex
	file *os.File
}

func openDiary(path string) (*diary, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return &diary{file: f}, err
}

func (d *diary) note(ctx context.Context, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	j := spool.JobFrom(ctx)
	line, err := json.Marshal(entry{What: what, UUID: j.UUID, Attempt: j.Attempt, At: time.Now().UnixNano()})
	if err == nil {
		_, err = d.file.Write(append(line, '\n'))
	}
	if err != nil { // a run that isn't written down would be a run unseen
		slog.Error("cannot write the diary", "error", err)
		os.Exit(4)
	}
}

// run is the handler.
func (d *diary) run(ctx context.Context, job Work) error {
	d.note(ctx, started)
	if job.Take > 0 {
		timer := time.NewTimer(job.Take)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			d.note(ctx, cancelled)
			return context.Cause(ctx)
		}
	}
	d.note(ctx, ended)
	if job.Fail {
		return spool.Fail(errors.New("told to fail"))
	}
	return nil
}
