package procgroup

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watchInterval is how often a group is measured.
const watchInterval = 250 * time.Millisecond

func attributes(session bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: !session, Setsid: session, Pdeathsig: syscall.SIGKILL}
}

// await blocks until the leader has ended, and leaves it to be reaped.
func (g *group) await() error {
	for {
		err := unix.Waitid(unix.P_PID, g.id, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// leash kills the group if we die without having done so ourselves. The group
// inherits the reading end of a pipe whose writing end is ours alone; when
// that closes, which the kernel sees to however we die, the kernel signals the
// owner of the reading end: the group. The parent-death signal reaches the
// leader only.
type leash struct{ theirs, ours *os.File }

func (l *leash) prepare(cmd *exec.Cmd) (err error) {
	if l.theirs, l.ours, err = os.Pipe(); err == nil {
		cmd.ExtraFiles = []*os.File{l.theirs}
	}
	return err
}

// tie names the group as the owner. It is best effort: a kernel without it
// still has the parent-death signal.
func (l *leash) tie(pgid int) {
	fd := l.theirs.Fd()
	_, err := unix.FcntlInt(fd, unix.F_SETSIG, int(unix.SIGKILL))
	if err == nil {
		_, err = unix.FcntlInt(fd, unix.F_SETOWN, -pgid)
	}
	if err == nil {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err == nil {
			_, _ = unix.FcntlInt(fd, unix.F_SETFL, flags|unix.O_ASYNC)
		}
	}
	_ = l.theirs.Close()
	l.theirs = nil
}

func (l *leash) close() {
	for _, f := range []*os.File{l.theirs, l.ours} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// processes reads the process table.
func processes() ([]proc, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close()
	if err != nil {
		return nil, err
	}
	table := make([]proc, 0, len(names))
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		b, err := os.ReadFile(filepath.Join("/proc", name, "stat"))
		if err != nil {
			continue // it ended meanwhile
		}
		if p, ok := parseStat(b); ok {
			table = append(table, p)
		}
	}
	return table, nil
}

// clockTick is the unit of the times in /proc, which is part of Linux' ABI
// (USER_HZ, 100 on every architecture Go runs on).
const clockTick = time.Second / 100

// parseStat reads /proc/PID/stat, see proc_pid_stat(5).
func parseStat(b []byte) (p proc, ok bool) {
	// "pid (name) state ppid …"; the name may hold blanks and parentheses.
	end := bytes.LastIndexByte(b, ')')
	start := bytes.IndexByte(b, ' ')
	if end < 0 || start < 0 {
		return p, false
	}
	f := bytes.Fields(b[end+1:])
	if len(f) < 22 {
		return p, false
	}
	num := func(i int) int64 { n, _ := strconv.ParseInt(string(f[i]), 10, 64); return n }
	pid, err := strconv.Atoi(string(b[:start]))
	return proc{
		pid:     pid,
		zombie:  f[0][0] == 'Z' || f[0][0] == 'X',
		ppid:    int(num(1)),
		pgid:    int(num(2)),
		session: int(num(3)),
		// Its own time, user and system, and that of the children it reaped.
		cpu:    time.Duration(num(11)+num(12)+num(13)+num(14)) * clockTick,
		memory: num(21) * int64(os.Getpagesize()),
	}, err == nil
}
