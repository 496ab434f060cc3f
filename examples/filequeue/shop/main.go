// Command shop is an application whose jobs are in a folder, by a driver of its
// own. It has every command of Spool:
//
//	QUEUE_CONNECTION=folder shop push order.paid --data '{"id":7}'
//	QUEUE_CONNECTION=folder shop work
//
// Where the folder is, spool.yaml may say:
//
//	queue:
//	  default: orders
//	  connections:
//	    orders: {driver: folder, retry_after: 60, options: {path: /var/spool/shop}}
package main

import (
	"cmp"
	"context"
	"os"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cli"
	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/examples/filequeue"
)

// OrderPaid is the shop's job.
type OrderPaid struct {
	ID int `json:"id"`
}

// JobName is how the job is called wherever it is pushed.
func (OrderPaid) JobName() string { return "order.paid" }

// openFolder opens a connection of the driver folder as the settings say.
func openFolder(_ context.Context, c *config.Connection) (driver.Conn, error) {
	o := &filequeue.Options{}
	if c.RetryAfter != nil {
		o.RetryAfter = *c.RetryAfter
	}
	return filequeue.Open(cmp.Or(c.Options["path"], "jobs"), o)
}

// app is the shop's command line; done is called with each order.
func app(done func(OrderPaid)) *cli.App {
	mux := spool.NewMux()
	spool.Handle(mux, func(_ context.Context, job OrderPaid) error {
		done(job)
		return nil
	})
	return &cli.App{
		Name: "shop", Mux: mux,
		Drivers: map[string]connect.OpenDriver{"folder": openFolder},
	}
}

func main() {
	stdio := cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Environ()}
	os.Exit(app(func(OrderPaid) {}).Run(context.Background(), os.Args[1:], stdio))
}
