package testserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var redisServer = kind{
	name:        "redis",
	env:         "SPOOL_TEST_REDIS",
	programs:    []string{redisProgram()},
	stopSignal:  syscall.SIGTERM,
	deathSignal: syscall.SIGKILL,
	command: func(s *server) (string, []string) {
		appendonly := "no"
		if s.persist {
			appendonly = "yes"
		}
		return program(redisProgram()), []string{
			"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--dir", s.dir,
			"--save", "", "--appendonly", appendonly, "--appendfsync", "everysec",
		}
	},
	probe: func(s *server) error {
		command := "PING\r\nINFO server\r\n" // INFO answers while the data is loading, PING doesn't
		if i := slices.Index(s.args, "--requirepass"); i >= 0 && i+1 < len(s.args) {
			command = "AUTH " + s.args[i+1] + "\r\n" + command
		}
		return probePID(s, command, "process_id:")
	},
	address: (*server).addr,
}

// redisProgram is the server to test with: redis-server, or what the
// environment names instead, e.g. valkey-server.
func redisProgram() string {
	if name := os.Getenv("SPOOL_TEST_REDIS_SERVER"); name != "" {
		return name
	}
	return "redis-server"
}

// Redis returns the host and port of a Redis server that other tests use too:
// keep to keys of your own and never flush.
func Redis(t testing.TB) string {
	t.Helper()
	return address(t, redisKind)
}

// NewRedis starts a Redis server for this test alone; it ends with the test.
// Its data is kept in an append-only file, so that it survives Kill. args are
// further command line arguments ("--maxmemory", "10mb").
func NewRedis(t testing.TB, args ...string) *Server {
	t.Helper()
	return newServer(t, redisKind, args)
}

// probePID asks a line-based server for its process id, which must be that of
// the process we started.
func probePID(s *server, command, label string) error {
	c, err := net.DialTimeout("tcp", s.addr(), probeTimeout)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		return err
	}
	if _, err := c.Write([]byte(command)); err != nil {
		return err
	}
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "-") && line != "---" { // Redis: loading its data, or no access
			return errors.New(line)
		}
		if pid, ok := strings.CutPrefix(line, label); ok {
			if strings.TrimSpace(pid) != strconv.Itoa(s.cmd.Process.Pid) {
				return fmt.Errorf("another server has port %d", s.port)
			}
			return nil
		}
	}
	return fmt.Errorf("the answer has no %q: %w", label, lines.Err())
}

// redisAnswer reads an answer that is one text or number.
func redisAnswer(from io.Reader) (string, error) {
	r := bufio.NewReader(from)
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	switch kind, rest := line[:1], line[1:]; kind {
	case "+", ":":
		return rest, nil
	case "-":
		return "", errors.New(rest)
	case "$":
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return "", err
		}
		text := make([]byte, n)
		_, err = io.ReadFull(r, text)
		return string(text), err
	}
	return "", fmt.Errorf("an answer of another kind: %q", line)
}
