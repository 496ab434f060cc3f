package testserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
)

// kind is what is particular to one kind of server.
type kind struct {
	name        string
	env         string         // names a shared server
	programs    []string       // that must be installed
	installed   func() error   // what else must be, nil: nothing
	account     string         // to run as when we are root
	stopSignal  os.Signal      // ends it in good order
	deathSignal syscall.Signal // ends it when we die

	prepare func(*server) error                           // creates its data, nil if it does so itself
	command func(*server) (program string, args []string) // runs it in the foreground
	probe   func(*server) error                           // nil once this very server answers
	address func(*server) string                          // as SPOOL_TEST_… has it
}

// Indexes of kinds.
const (
	redisKind = iota
	postgresKind
	mysqlKind
	beanstalkdKind
	sqsKind
)

var kinds = [...]kind{
	redisKind:      redisServer,
	postgresKind:   postgresServer,
	mysqlKind:      mysqlServer,
	beanstalkdKind: beanstalkdServer,
	sqsKind:        sqsServer,
}

// find says whether everything that the kind needs is installed.
func (k kind) find() error {
	for _, name := range k.programs {
		if program(name) == "" {
			return &missingError{name}
		}
	}
	if k.installed != nil {
		return k.installed()
	}
	return nil
}

// program returns the path of a program, "" if it is not installed. Debian
// keeps some servers outside PATH.
func program(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, pattern := range []string{"/usr/sbin/", "/usr/local/sbin/", "/usr/lib/postgresql/*/bin/", "/opt/homebrew/opt/*/bin/"} {
		paths, _ := filepath.Glob(pattern + name)
		slices.Sort(paths)
		if len(paths) > 0 {
			return paths[len(paths)-1]
		}
	}
	return ""
}
