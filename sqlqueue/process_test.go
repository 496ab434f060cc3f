package sqlqueue_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/schema"
	"github.com/spoolq/spool/sqldb/sqlite"
	"github.com/spoolq/spool/sqlqueue"
)

// outcome is what a child process writes to its standard output.
type outcome struct {
	Error   string
	Ran     []string      // bodies of the jobs it ran
	Longest time.Duration // that one call took
	Calls   int
}

// child plays a part, given as "part file".
func child(part string) int {
	name, file, _ := strings.Cut(part, " ")
	var o outcome
	var err error
	switch name {
	case "work":
		err = work(file, &o)
	case "busy":
		err = busy(file, &o)
	case "hold":
		err = hold(file)
	}
	if err != nil {
		o.Error = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(o); err != nil {
		return 1
	}
	return 0
}

// openChild opens the file in a process that is no test.
func openChild(file string) (*sqldb.DB, *sqlqueue.Conn, error) {
	db, err := sqlite.Open(file, nil)
	if err != nil {
		return nil, nil, err
	}
	if _, err := schema.Create(context.Background(), db, schema.Names{Jobs: "jobs"}); err != nil {
		return nil, nil, err
	}
	c, err := sqlqueue.New(db, nil)
	return db, c, err
}

// work pushes 1,000 jobs one by one, and runs jobs until it has found none for
// two seconds.
func work(file string, o *outcome) error {
	db, c, err := openChild(file)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx := context.Background()
	var pushErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 1000 {
			if _, err := c.Push(ctx, "q", []driver.Message{{Body: fmt.Appendf(nil, "%d-%d", os.Getpid(), i)}}); err != nil {
				pushErr = err
				return
			}
		}
	}()
	for last := time.Now(); time.Since(last) < 2*time.Second; {
		rs, err := timed(o, func() ([]driver.Reservation, error) { return c.Reserve(ctx, "q", 10) })
		if err != nil {
			return err
		}
		if len(rs) == 0 {
			if err := c.Wait(ctx, []string{"q"}, time.Second); err != nil {
				return err
			}
			continue
		}
		last = time.Now()
		for _, r := range rs {
			o.Ran = append(o.Ran, string(r.Body))
		}
		if _, err := timed(o, func() (any, error) { return nil, c.Delete(ctx, rs) }); err != nil {
			return err
		}
	}
	<-done
	return pushErr
}

func timed[T any](o *outcome, f func() (T, error)) (T, error) {
	start := time.Now()
	v, err := f()
	o.Longest = max(o.Longest, time.Since(start))
	o.Calls++
	return v, err
}

// busy pushes without a pause for two seconds.
func busy(file string, o *outcome) error {
	db, c, err := openChild(file)
	if err != nil {
		return err
	}
	defer db.Close()
	for start := time.Now(); time.Since(start) < 2*time.Second; {
		_, err := timed(o, func() ([]string, error) {
			return c.Push(context.Background(), "q", []driver.Message{{Body: []byte("x")}})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// hold is a foreign program: it takes the write lock, says so, and keeps it
// until its standard input ends.
func hold(file string) error {
	db, err := sqlite.Open(file, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	tx, err := db.SQL().BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	fmt.Println("holding")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// spawn starts the test binary again in a part.
func spawn(t *testing.T, part, file string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+part+" "+file)
	cmd.Stderr = os.Stderr
	return cmd
}

// together runs the part in several processes at once.
func together(t *testing.T, n int, part, file string) []outcome {
	t.Helper()
	cmds := make([]*exec.Cmd, n)
	outs := make([]io.ReadCloser, n)
	for i := range cmds {
		cmds[i] = spawn(t, part, file)
		out, err := cmds[i].StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		outs[i] = out
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	all := make([]outcome, n)
	for i := range cmds {
		if err := errors.Join(json.NewDecoder(outs[i]).Decode(&all[i]), cmds[i].Wait()); err != nil {
			t.Fatalf("process %d: %v", i, err)
		}
		if all[i].Error != "" {
			t.Errorf("process %d: %s", i, all[i].Error)
		}
	}
	return all
}

func TestTwoProcessesRunEachJobOnce(t *testing.T) {
	for _, wal := range []bool{true, false} {
		t.Run(map[bool]string{true: "WAL", false: "rollback journal"}[wal], func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "q.db")
			if !wal {
				rollbackJournal(t, file)
			}
			var ran []string
			for i, o := range together(t, 2, "work", file) {
				t.Logf("process %d ran %d jobs, longest call %v", i, len(o.Ran), o.Longest)
				ran = append(ran, o.Ran...)
			}
			slices.Sort(ran)
			if once := len(slices.Compact(slices.Clone(ran))); once != 2000 || len(ran) != 2000 {
				t.Errorf("%d runs of %d jobs, want 2000 of 2000", len(ran), once)
			}
		})
	}
}

// rollbackJournal makes a file as another program would, without WAL.
func rollbackJournal(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE customers (id integer)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNoBusyProcessStarvesAnother(t *testing.T) {
	all := together(t, 3, "busy", filepath.Join(t.TempDir(), "q.db"))
	most, least := 0, 1<<30
	for _, o := range all {
		most, least = max(most, o.Calls), min(least, o.Calls)
		if o.Longest > time.Second {
			t.Errorf("a push took %v", o.Longest)
		}
	}
	t.Logf("pushes in 2 s: %d to %d a process", least, most)
	if least*5 < most {
		t.Errorf("one process pushed %d times while another pushed %d times", most, least)
	}
}

func TestForeignWriterIsWaitedForAndThenNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "q.db")
	db, err := sqlite.Open(file, &sqlite.Options{Wait: 400 * time.Millisecond})
	c := queue(t, tables(t, db, err), nil)
	push := func() error {
		_, err := c.Push(t.Context(), "q", []driver.Message{{Body: []byte("x")}})
		return err
	}
	if err := push(); err != nil {
		t.Fatal(err)
	}

	holder := spawn(t, "hold", file)
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(out)
	if line, err := said.ReadString('\n'); line != "holding\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}

	start := time.Now()
	err = push()
	var busy *sqldb.BusyError
	if !errors.As(err, &busy) || busy.File != file {
		t.Errorf("Push while another program holds the lock: %v, want a BusyError that names %s", err, file)
	}
	if took := time.Since(start); took < 400*time.Millisecond {
		t.Errorf("Push gave up after %v, want the whole wait", took)
	}
	if _, err := c.Reserve(t.Context(), "q", 1); !errors.As(err, &busy) {
		t.Errorf("Reserve while another program holds the lock: %v", err)
	}
	// Reading goes on.
	if s, err := c.Size(t.Context(), "q"); err != nil || s.Pending != 1 {
		t.Errorf("Size while another program holds the lock: %+v, %v", s, err)
	}

	release := time.AfterFunc(200*time.Millisecond, func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
	defer release.Stop()
	if err := push(); err != nil {
		t.Errorf("Push while the lock is given back: %v", err)
	}
	if _, err := io.Copy(io.Discard, said); err != nil {
		t.Error(err)
	}
	if err := holder.Wait(); err != nil {
		t.Error(err)
	}
	rs, err := c.Reserve(t.Context(), "q", 10)
	if err != nil || len(rs) != 2 {
		t.Errorf("afterwards %d jobs, %v; want the 2 whose Push succeeded", len(rs), err)
	}
}
