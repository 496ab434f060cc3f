// Csvimport imports a file in a batch of jobs and shows how far it is, all in
// one process and in memory.
//
//	go run ./examples/csvimport customers.csv
//
// Lines that can't be imported fail the part they are in; the others go on.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

// Import imports some lines of a file. In an application with several machines
// it would name the file and a range.
type Import struct {
	From  int      `json:"from"` // the number of the first line
	Lines []string `json:"lines"`
}

// Report is pushed when the last line has been imported, or has failed.
type Report struct {
	File string `json:"file"`
}

// part is how many lines go into one job.
const part = 100

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: csvimport FILE")
		os.Exit(2)
	}
	file, err := os.Open(os.Args[1])
	if err == nil {
		err = run(context.Background(), file, os.Args[1], os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, file io.Reader, name string, out io.Writer) error {
	client := spool.Connect(memqueue.New(nil))
	client.Manager().UseBatches(spool.BatchingOptions{
		Open: func(context.Context) (spool.BatchStore, error) { return batch.NewMemory(), nil },
	})
	mux := spool.NewMux()
	spool.Handle(mux, importLines)
	reported := make(chan struct{})
	spool.Handle(mux, func(ctx context.Context, job Report) error {
		defer close(reported)
		b, err := spool.BatchFrom(ctx)
		if err == nil {
			fmt.Fprintf(out, "%s: %d of %d parts imported, %d failed\n", job.File, b.Processed(), b.Total, b.Failed)
		}
		return err
	})
	stop, err := work(ctx, client, mux)
	if err != nil {
		return err
	}
	defer stop()

	jobs, err := split(file)
	if err != nil {
		return err
	}
	b, err := client.Batch(jobs...).Name(name).AllowFailures().Finally(Report{File: name}).Dispatch(ctx)
	if err != nil {
		return err
	}
	_, err = b.Wait(ctx, func(b *spool.Batch) { fmt.Fprintf(out, "%d %%\n", b.Progress()) })
	if err == nil {
		<-reported
	}
	return err
}

// work starts a worker, and returns what stops it.
func work(ctx context.Context, client *spool.Client, mux *spool.Mux) (stop func(), err error) {
	conn, err := client.Manager().Connection(ctx, "")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	w := worker.New(conn, mux, &worker.Options{Logger: slog.New(slog.DiscardHandler)})
	go func() { // stop waits for it
		defer close(ended)
		_, _ = w.Run(ctx)
	}()
	return func() { cancel(); <-ended }, nil
}

// split cuts a file into jobs.
func split(file io.Reader) ([]any, error) {
	var jobs []any
	job := Import{From: 1}
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		if job.Lines = append(job.Lines, lines.Text()); len(job.Lines) == part {
			jobs = append(jobs, job)
			job = Import{From: n + 1}
		}
	}
	if len(job.Lines) > 0 {
		jobs = append(jobs, job)
	}
	return jobs, lines.Err()
}

// importLines checks the lines where an application would store them.
func importLines(_ context.Context, job Import) error {
	for i, line := range job.Lines {
		if strings.Count(line, ",") != 1 {
			return spool.Fail(fmt.Errorf("line %d: want two columns, have %q", job.From+i, line))
		}
	}
	return nil
}
