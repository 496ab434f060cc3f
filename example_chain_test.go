package spool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch"
	"github.com/spoolq/spool/memqueue"
	"github.com/spoolq/spool/worker"
)

type (
	ProcessPodcast struct {
		ID int `json:"id"`
	}
	OptimizePodcast ProcessPodcast
	ReleasePodcast  ProcessPodcast
	AlertStudio     struct {
		Channel string `json:"channel"`
	}
)

// studio handles the jobs of a podcast.
func studio() *spool.Mux {
	mux := spool.NewMux()
	spool.Handle(mux, func(_ context.Context, job ProcessPodcast) error {
		fmt.Println("processing", job.ID)
		return nil
	})
	spool.Handle(mux, func(_ context.Context, job OptimizePodcast) error {
		if job.ID == 13 {
			return spool.Fail(errors.New("no sound"))
		}
		fmt.Println("optimizing", job.ID)
		return nil
	})
	spool.Handle(mux, func(_ context.Context, job ReleasePodcast) error {
		fmt.Println("releasing", job.ID)
		return nil
	})
	spool.Handle(mux, func(ctx context.Context, job AlertStudio) error {
		caught, _ := spool.CaughtFrom(ctx)
		fmt.Println(job.Channel, "is told of", caught.Name, "-", caught.Error)
		return nil
	})
	return mux
}

// work works everything that is on a queue.
func work(ctx context.Context, client *spool.Client, mux *spool.Mux, queues ...string) {
	conn, err := client.Manager().Connection(ctx, "")
	if err != nil {
		panic(err)
	}
	opts := &worker.Options{Queues: queues, Concurrency: 1, StopWhenEmpty: true, Logger: slog.New(slog.DiscardHandler)}
	if _, err := worker.New(conn, mux, opts).Run(ctx); err != nil {
		panic(err)
	}
}

// Each job is dispatched when the one before it is done.
func ExampleClient_Chain() {
	ctx := context.Background()
	client := spool.Connect(memqueue.New(nil))

	_, err := client.Chain(ProcessPodcast{7}, OptimizePodcast{7}, ReleasePodcast{7}).OnQueue("podcasts").Dispatch(ctx)
	if err != nil {
		fmt.Println(err)
	}
	work(ctx, client, studio(), "podcasts")
	// Output:
	// processing 7
	// optimizing 7
	// releasing 7
}

// What Catch was given is dispatched when a link has failed for good.
func ExampleChain_Catch() {
	ctx := context.Background()
	client := spool.Connect(memqueue.New(nil))

	_, err := client.Chain(ProcessPodcast{13}, OptimizePodcast{13}, ReleasePodcast{13}).
		Catch(AlertStudio{Channel: "#studio"}).
		Dispatch(ctx)
	if err != nil {
		fmt.Println(err)
	}
	work(ctx, client, studio())
	// Output:
	// processing 13
	// #studio is told of OptimizePodcast - no sound
}

// A link may have options of its own.
func ExampleWith() {
	ctx := context.Background()
	client := spool.Connect(memqueue.New(nil))

	_, err := client.Chain(
		ProcessPodcast{7},
		spool.With(OptimizePodcast{7}, spool.OnQueue("encoder"), spool.Tries(5), spool.Timeout(time.Hour)),
		spool.WithName("ReleasePodcast", map[string]int{"id": 7}),
	).OnQueue("podcasts").Dispatch(ctx)
	if err != nil {
		fmt.Println(err)
	}
	work(ctx, client, studio(), "podcasts", "encoder")
	// Output:
	// processing 7
	// optimizing 7
	// releasing 7
}

// A job can add links to its own chain, which are there once it is done.
func ExampleAppendToChain() {
	ctx := context.Background()
	client := spool.Connect(memqueue.New(nil))

	mux := studio()
	mux.HandleFunc("Plan", func(ctx context.Context, job *spool.Job) error {
		if err := spool.PrependToChain(ctx, ProcessPodcast{8}); err != nil {
			return err
		}
		return spool.AppendToChain(ctx, AlertStudio{Channel: "#done"})
	})
	if _, err := client.Chain(spool.WithName("Plan", nil), ReleasePodcast{8}).Dispatch(ctx); err != nil {
		fmt.Println(err)
	}
	work(ctx, client, mux)
	// Output:
	// processing 8
	// releasing 8
	// #done is told of  -
}

// A batch may be a link of a chain: it is done when all its members are.
func ExampleClient_Chain_batch() {
	ctx := context.Background()
	client := spool.Connect(memqueue.New(nil))
	client.Manager().UseBatches(spool.BatchingOptions{
		Open: func(context.Context) (spool.BatchStore, error) { return batch.NewMemory(), nil },
	})

	_, err := client.Chain(
		ProcessPodcast{7},
		client.Batch(OptimizePodcast{7}, OptimizePodcast{8}).Name("all formats"),
		ReleasePodcast{7},
	).Dispatch(ctx)
	if err != nil {
		fmt.Println(err)
	}
	work(ctx, client, studio())
	// Output:
	// processing 7
	// optimizing 7
	// optimizing 8
	// releasing 7
}

// A chain may be among the jobs of a batch: its links are all members.
func ExampleClient_Batch_chain() {
	ctx := context.Background()
	client := spool.Connect(memqueue.New(nil))
	client.Manager().UseBatches(spool.BatchingOptions{
		Open: func(context.Context) (spool.BatchStore, error) { return batch.NewMemory(), nil },
	})

	b, err := client.Batch(
		client.Chain(ProcessPodcast{7}, ReleasePodcast{7}),
		client.Chain(ProcessPodcast{8}, ReleasePodcast{8}),
	).Dispatch(ctx)
	if err != nil {
		fmt.Println(err)
	}
	work(ctx, client, studio())
	b, err = b.Fresh(ctx)
	fmt.Println(b.Total, "members,", b.Progress(), "percent", err)
	// Output:
	// processing 7
	// processing 8
	// releasing 7
	// releasing 8
	// 4 members, 100 percent <nil>
}
