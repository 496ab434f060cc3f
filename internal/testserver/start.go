package testserver

import "fmt"

// Process is a server that a program other than a test has started, such as a
// benchmark.
type Process struct {
	// DSN is how to open it: a URL for PostgreSQL and SQS, go-sql-driver's form
	// without a database for MySQL, host and port for the others.
	DSN string
	// PID is that of the server. Its children may do the work.
	PID int

	s *server
}

// Start starts a server: "redis", "postgres", "mysql", "beanstalkd" or "sqs".
// args are further command line arguments, which override its own. The caller stops
// it; on Linux the kernel does so too when the caller ends.
func Start(name string, args ...string) (*Process, error) {
	for _, k := range kinds {
		if k.name != name {
			continue
		}
		s, err := start(k, false, args)
		if err != nil {
			return nil, err
		}
		return &Process{DSN: k.address(s), PID: s.cmd.Process.Pid, s: s}, nil
	}
	return nil, fmt.Errorf("testserver: no server is called %q", name)
}

// Stop ends the server and deletes its data.
func (p *Process) Stop() { p.s.remove() }
