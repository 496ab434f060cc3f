//go:build linux

package beanstalkqueue

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

// pid returns that of the server, which must be the test's own.
func pid(t *testing.T, c *Conn) int {
	t.Helper()
	stats, err := c.stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := int(count(stats, "pid"))
	if n < 2 {
		t.Fatalf("no pid in %q", stats)
	}
	return n
}

func TestDraining(t *testing.T) {
	t.Parallel()
	c := open(t, testserver.NewBeanstalkd(t).Addr, nil)
	push(t, c, "q", "before")
	if err := syscall.Kill(pid(t, c), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	until(t, "the server drains", func() bool {
		advice, err := c.Advise(t.Context())
		return err == nil && strings.Contains(strings.Join(advice, ""), "drained")
	})
	ids, err := c.Push(t.Context(), "q", []driver.Message{{Body: []byte("x")}, {Body: []byte("y")}})
	refused, ok := errors.AsType[*ServerError](err)
	if !ok || refused.Word != "DRAINING" || len(ids) != 0 || !strings.Contains(err.Error(), "drained") {
		t.Errorf("Push to a server that is drained returned %v, %v", ids, err)
	}
	rs := reserve(t, c, "q", 1)
	if err := c.Release(t.Context(), rs, 0); err != nil {
		t.Errorf("Release: %v", err)
	}
	if err := c.Delete(t.Context(), reserve(t, c, "q", 1)); err != nil {
		t.Errorf("Delete: %v", err)
	}
}

// TestOutOfMemory takes the server's memory away.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	s := testserver.NewBeanstalkd(t, "-z", "4000000")
	c := open(t, s.Addr, nil)
	statm, err := os.ReadFile("/proc/" + strconv.Itoa(pid(t, c)) + "/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(statm))[0])
	if err != nil {
		t.Fatal(err)
	}
	limit := strconv.Itoa(pages*os.Getpagesize() + 20<<20)
	if out, err := exec.Command("prlimit", "--pid", strconv.Itoa(pid(t, c)), "--as="+limit+":"+limit).CombinedOutput(); err != nil {
		t.Skipf("prlimit: %v: %s", err, out)
	}
	large := driver.Message{Body: bytes.Repeat([]byte("x"), 3_000_000)}
	small := driver.Message{Body: []byte("small")}
	var all []driver.Message
	for range 12 {
		all = append(all, large, small)
	}
	ids, err := c.Push(t.Context(), "q", all)
	refused, ok := errors.AsType[*ServerError](err)
	if !ok || refused.Word != "OUT_OF_MEMORY" {
		t.Fatalf("Push of more than fits: %v", err)
	}
	if got := size(t, c, "q"); got.Pending != int64(len(ids)) || len(ids) < 2 {
		t.Errorf("%d jobs are stored, %d were said to be", got.Pending, len(ids))
	}
	if err := c.Delete(t.Context(), reserve(t, c, "q", 2)); err != nil {
		t.Fatal(err)
	}
	push(t, c, "q", "there is room again")
}
