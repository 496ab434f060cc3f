package testserver

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestServersEndWithTheTestBinary kills a process that has started servers, and
// watches them go.
func TestServersEndWithTheTestBinary(t *testing.T) {
	if os.Getenv("SPOOL_TESTSERVER_VICTIM") != "" {
		_, _, errs := StartShared()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		shared.mu.Lock()
		for _, s := range shared.running {
			fmt.Printf("pid %d\n", s.cmd.Process.Pid)
		}
		shared.mu.Unlock()
		fmt.Println("ready")
		select {}
	}
	for _, k := range kinds {
		require(t, k.find())
	}
	victim := exec.Command(os.Args[0], "-test.run=^TestServersEndWithTheTestBinary$")
	tmp := t.TempDir()
	if err := os.Chmod(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(tmp+"/..", 0o755); err != nil { // for the servers' own accounts
		t.Fatal(err)
	}
	victim.Env = append(os.Environ(), "SPOOL_TESTSERVER_VICTIM=1", "TMPDIR="+tmp)
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		var pid int
		if _, err := fmt.Sscanf(lines.Text(), "pid %d", &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // it was killed
	if len(pids) != len(kinds) {
		t.Fatalf("%d servers were started, want %d", len(pids), len(kinds))
	}
	deadline := time.Now().Add(20 * time.Second)
	for _, pid := range pids {
		for alive(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("server %d outlives its test binary", pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// alive says whether a process runs. Where nobody reaps orphans, one that has
// ended stays as a zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(state, "Z")
}
