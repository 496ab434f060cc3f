package demo_test

import (
	"context"
	"os"
	"testing"

	"github.com/spoolq/spool/cli"
	"github.com/spoolq/spool/internal/testserver"
)

// asSpool is the variable that turns the test binary into the command line.
const asSpool = "SPOOL_DEMO_TEST_AS_SPOOL"

func TestMain(m *testing.M) {
	if os.Getenv(asSpool) != "" {
		app := &cli.App{}
		os.Exit(app.Run(context.Background(), os.Args[1:], cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Environ()}))
	}
	testserver.Main(m)
}
