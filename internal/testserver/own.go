package testserver

import "testing"

// Server is a server that a test has for itself. Its methods fail the test
// when they can't do their work. They may be called from any goroutine, but a
// failure ends only the goroutine that runs the test.
type Server struct {
	// Addr is host and port. It stays the same over restarts.
	Addr string
	// DSN is how to open it: a URL for PostgreSQL and SQS, go-sql-driver's form
	// for MySQL, and Addr for the others.
	DSN string

	t testing.TB
	s *server
}

func newServer(t testing.TB, k int, args []string) *Server {
	t.Helper()
	s := newOfKind(t, kinds[k], args)
	if k == mysqlKind {
		s.DSN += "spool"
	}
	return s
}

func newOfKind(t testing.TB, k kind, args []string) *Server {
	t.Helper()
	s, err := start(k, true, args)
	require(t, err)
	t.Cleanup(s.remove)
	return &Server{Addr: s.addr(), DSN: k.address(s), t: t, s: s}
}

// Stop ends the server as an operator would and waits for it. It does nothing
// if the server is down.
func (s *Server) Stop() { s.s.stop() }

// Kill ends the server as a crash would (SIGKILL) and waits for it. It does
// nothing if the server is down.
func (s *Server) Kill() { s.must("kill", s.s.kill()) }

// Start starts the server again after Stop or Kill, on the same port with the
// same data, and waits until it answers.
func (s *Server) Start() { s.must("start", s.s.restart()) }

// Pause freezes the server (SIGSTOP): connections stay open and nothing
// answers. There is no such thing on Windows, where the test fails.
func (s *Server) Pause() { s.must("pause", s.s.signal(pauseSignal)) }

// Resume undoes Pause.
func (s *Server) Resume() { s.must("resume", s.s.signal(resumeSignal)) }

func (s *Server) must(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s %s: %v", what, s.s.kind.name, err)
	}
}
