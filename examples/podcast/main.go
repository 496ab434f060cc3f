// Command podcast publishes the episodes of a podcast, each as a chain of jobs:
// see docs/chains.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cli"
	"github.com/spoolq/spool/connect"
)

// Process cuts an episode, Optimize encodes it, Release puts it online.
type (
	Process struct {
		Episode int `json:"episode"`
	}
	Optimize Process
	Release  Process
)

// Jingle mixes a jingle into an episode.
type Jingle Process

// Alert tells somebody of an episode that is stuck.
type Alert struct {
	To string `json:"to"`
}

func process(ctx context.Context, job Process) error {
	fmt.Println("Cutting episode", job.Episode)
	if job.Episode%10 == 0 { // an anniversary
		return spool.PrependToChain(ctx, Jingle(job))
	}
	return nil
}

func jingle(_ context.Context, job Jingle) error {
	fmt.Println("A jingle for episode", job.Episode)
	return nil
}

func optimize(_ context.Context, job Optimize) error {
	if _, err := os.Stat("no-encoder"); err == nil {
		return errors.New("the encoder is down")
	}
	fmt.Println("Encoding episode", job.Episode)
	return nil
}

func release(_ context.Context, job Release) error {
	fmt.Println("Episode", job.Episode, "is online")
	return nil
}

func alert(ctx context.Context, job Alert) error {
	caught, _ := spool.CaughtFrom(ctx)
	fmt.Printf("To %s: %s has failed, %s\n", job.To, caught.Name, caught.Error)
	return nil
}

func handlers() *spool.Mux {
	mux := spool.NewMux()
	spool.Handle(mux, process)
	spool.Handle(mux, jingle)
	spool.Handle(mux, optimize)
	spool.Handle(mux, release)
	spool.Handle(mux, alert)
	return mux
}

func publish(ctx context.Context, client *spool.Client, episode int) (id string, err error) {
	ref, err := client.Chain(
		Process{episode},
		spool.With(Optimize{episode}, spool.OnQueue("encoder"), spool.Tries(1)),
		Release{episode},
	).OnQueue("podcast").Catch(Alert{To: "studio"}).Dispatch(ctx)
	return ref.UUID, err
}

func main() {
	if len(os.Args) != 3 || os.Args[1] != "publish" {
		cli.Main(handlers())
	}
	episode, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	set, err := connect.Load(&connect.Options{Mux: handlers()})
	if err != nil {
		log.Fatal(err)
	}
	id, err := publish(context.Background(), set.Client, episode)
	if err := errors.Join(set.Explain(err), set.Close()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(id)
}
