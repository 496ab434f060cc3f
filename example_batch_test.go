package spool_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

type ImportRows struct {
	From int `json:"from"`
	To   int `json:"to"`
}

type SendReport struct {
	File string `json:"file"`
}

func ExampleClient_Batch() {
	ctx := context.Background()
	client := spool.Connect(memqueue.New(nil))
	client.Manager().UseBatches(spool.BatchingOptions{
		Open: func(context.Context) (spool.BatchStore, error) { return batch.NewMemory(), nil },
	})
	mux := spool.NewMux()
	spool.Handle(mux, func(_ context.Context, job ImportRows) error {
		if job.To > 250 {
			return fmt.Errorf("row %d can't be read", job.To)
		}
		return nil
	})
	spool.Handle(mux, func(ctx context.Context, job SendReport) error {
		b, err := spool.BatchFrom(ctx)
		if err == nil {
			fmt.Printf("%s of %s: %d of %d parts, %d failed\n", b.Name, job.File, b.Processed(), b.Total, b.Failed)
		}
		return err
	})

	_, err := client.Batch(ImportRows{1, 100}, ImportRows{101, 200}, ImportRows{201, 300}).
		Name("import").AllowFailures().Finally(SendReport{File: "customers.csv"}).Dispatch(ctx)
	if err != nil {
		log.Fatal(err)
	}

	conn, err := client.Manager().Connection(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := worker.New(conn, mux, &worker.Options{StopWhenEmpty: true}).Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: import of customers.csv: 2 of 3 parts, 1 failed
}

func ExampleBatch_Wait() {
	ctx := context.Background()
	client := spool.Connect(memqueue.New(nil))
	client.Manager().UseBatches(spool.BatchingOptions{
		Open: func(context.Context) (spool.BatchStore, error) { return batch.NewMemory(), nil },
	})
	mux := spool.NewMux()
	spool.Handle(mux, func(context.Context, ImportRows) error { return nil }, spool.Through(spool.SkipIfBatchCancelled))

	b, err := client.Batch(ImportRows{1, 100}, ImportRows{101, 200}).Dispatch(ctx)
	if err != nil {
		log.Fatal(err)
	}
	conn, err := client.Manager().Connection(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	var working sync.WaitGroup
	working.Go(func() {
		if _, err := worker.New(conn, mux, &worker.Options{StopWhenEmpty: true}).Run(ctx); err != nil {
			log.Print(err)
		}
	})
	b, err = b.Wait(ctx, nil) // or with a function that shows b.Progress()
	if err != nil {
		log.Fatal(err)
	}
	working.Wait()
	fmt.Printf("%d %%, finished: %v\n", b.Progress(), b.Finished())
	// Output: 100 %, finished: true
}
