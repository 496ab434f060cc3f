package testserver

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

//go:embed sqs.mjs
var sqsScript string

var sqsServer = kind{
	name:        "sqs",
	env:         "SPOOL_TEST_SQS",
	programs:    []string{"node"},
	installed:   findSQS,
	stopSignal:  syscall.SIGTERM,
	deathSignal: syscall.SIGKILL,
	prepare: func(s *server) error {
		return os.WriteFile(filepath.Join(s.dir, "sqs.mjs"), []byte(sqsScript), 0o600)
	},
	command: func(s *server) (string, []string) {
		folder, _ := sqsFolder() // findSQS has seen it
		return program("node"), []string{filepath.Join(s.dir, "sqs.mjs"), folder, strconv.Itoa(s.port)}
	},
	probe:   probeSQS,
	address: func(s *server) string { return "http://" + s.addr() },
}

// SQS returns the endpoint of an SQS server that other tests use too: keep to
// queues of your own. Any region and credentials do; the account is
// [SQSAccount]. It is the engine of the npm package fauxqs in a process of its
// own.
func SQS(t testing.TB) string {
	t.Helper()
	return address(t, sqsKind)
}

// NewSQS starts an SQS server for this test alone; it ends with the test. DSN
// is its endpoint. It keeps its queues in memory: Stop and Kill lose them.
func NewSQS(t testing.TB) *Server {
	t.Helper()
	return newServer(t, sqsKind, nil)
}

// SQSAccount is the account that the queue URLs of the server name.
const SQSAccount = "000000000000"

// probeSQS asks the server for its process id.
func probeSQS(s *server) error {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.kind.address(s), nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct{ PID int }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.PID != s.cmd.Process.Pid {
		return fmt.Errorf("another server has port %d", s.port)
	}
	return nil
}
