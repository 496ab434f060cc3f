package cli_test

import (
	"context"
	"os"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cli"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
)

// A connection that the application adds itself, with a driver of its own,
// has the whole command line.
func ExampleApp() {
	mux := spool.NewMux()
	var conn driver.Conn = memqueue.New(nil)
	app := &cli.App{
		Name: "shop", Mux: mux,
		Setup: func(_ context.Context, s *connect.Set) error {
			s.Manager.Add(spool.ConnectionConfig{
				Name: "mine", Open: func(context.Context) (driver.Conn, error) { return conn, nil },
			})
			return nil
		},
	}
	app.Run(context.Background(), []string{"size", "mine"}, cli.IO{Out: os.Stdout, Err: os.Stderr})
	// Output:
	// mine:default .......... 0 pending, 0 delayed, 0 reserved
}
