// Command spool works, watches and manages job queues: Laravel's queue
// commands for any of its backends. Jobs are handled by commands and URLs
// named in spool.yaml; a Go application embeds package cli instead and
// brings its own handlers.
package main

import (
	_ "time/tzdata" // app.timezone, on machines without a database of zones

	"github.com/spoolq/spool/cli"
)

func main() { cli.Main(nil) }
