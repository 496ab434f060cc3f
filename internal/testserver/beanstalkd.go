package testserver

import (
	"strconv"
	"syscall"
	"testing"
)

var beanstalkdServer = kind{
	name:        "beanstalkd",
	env:         "SPOOL_TEST_BEANSTALKD",
	programs:    []string{"beanstalkd"},
	stopSignal:  syscall.SIGTERM,
	deathSignal: syscall.SIGKILL,
	command: func(s *server) (string, []string) {
		args := []string{"-l", "127.0.0.1", "-p", strconv.Itoa(s.port)}
		if s.persist {
			args = append(args, "-b", s.dir)
		}
		return program("beanstalkd"), args
	},
	probe:   func(s *server) error { return probePID(s, "stats\r\n", "pid: ") },
	address: (*server).addr,
}

// Beanstalkd returns the host and port of a beanstalkd server that other tests
// use too: keep to tubes of your own.
func Beanstalkd(t testing.TB) string {
	t.Helper()
	return address(t, beanstalkdKind)
}

// NewBeanstalkd starts a beanstalkd server for this test alone; it ends with
// the test. Its jobs are kept in a log, so that they survive Kill. args are
// further command line arguments ("-z", "1000").
func NewBeanstalkd(t testing.TB, args ...string) *Server {
	t.Helper()
	return newServer(t, beanstalkdKind, args)
}
