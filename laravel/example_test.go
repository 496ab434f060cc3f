package laravel_test

import (
	"context"
	"fmt"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/memqueue"
)

// A job for a PHP class, with the rest of a chain behind it.
func ExampleCommand() {
	format, err := laravel.New(nil)
	if err != nil {
		panic(err)
	}
	conn := memqueue.New(nil)
	manager := spool.NewManager(nil)
	manager.Add(spool.ConnectionConfig{
		Name: "default", Format: format,
		Open: func(context.Context) (driver.Conn, error) { return conn, nil },
	})
	defer manager.Close()
	ctx := context.Background()

	cmd := laravel.NewCommand(`App\Jobs\SendMail`,
		laravel.Public("to", "ada@example.com"),
		laravel.Protected("at", laravel.Carbon(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))),
		laravel.Private("user", laravel.ModelIdentifier{Class: `App\Models\User`, ID: 7}),
	).OnQueue("mail")
	if err := cmd.Then(laravel.NewCommand(`App\Jobs\MarkSent`, laravel.Public("id", 7))); err != nil {
		panic(err)
	}
	if _, err := spool.Dispatch(ctx, spool.NewClient(manager, nil), cmd); err != nil {
		panic(err)
	}

	rs, err := conn.Reserve(ctx, "mail", 1)
	if err != nil {
		panic(err)
	}
	payload, err := format.Decode(rs[0].Body)
	if err != nil {
		panic(err)
	}
	fmt.Println(payload.Name)
	fmt.Println(string(payload.Data))
	// Output:
	// App\Jobs\SendMail
	// {"to":"ada@example.com","at":"2026-01-02T03:04:05Z","user":{"class":"App\\Models\\User","id":7,"relations":[],"connection":null}}
}

// One handler serves a Go job and the PHP class of the same data.
func ExampleFormat_Decode() {
	format, err := laravel.New(nil)
	if err != nil {
		panic(err)
	}
	payload, err := format.Decode([]byte(`{"uuid":"…","job":"Illuminate\\Queue\\CallQueuedHandler@call","data":{
		"commandName":"App\\Jobs\\SendMail","command":"O:17:\"App\\Jobs\\SendMail\":2:{s:9:\"\u0000*\u0000userId\";i:7;s:5:\"queue\";s:4:\"mail\";}"}}`))
	if err != nil {
		panic(err)
	}
	var job struct {
		UserID int `json:"user_id"`
	}
	if err := payload.Into(&job); err != nil {
		panic(err)
	}
	cmd, err := laravel.CommandOf(payload)
	if err != nil {
		panic(err)
	}
	fmt.Println(job.UserID, cmd.Queue())
	// Output: 7 mail
}

// A chain of class jobs: each link is run where its queue is worked, by PHP or
// by Go, and both go on with it.
func ExampleCommand_Chain() {
	format, err := laravel.New(nil)
	if err != nil {
		panic(err)
	}
	conn := memqueue.New(nil)
	manager := spool.NewManager(nil)
	manager.Add(spool.ConnectionConfig{
		Name: "default", Format: format,
		Open: func(context.Context) (driver.Conn, error) { return conn, nil },
	})
	defer manager.Close()
	ctx, client := context.Background(), spool.NewClient(manager, nil)

	podcast := laravel.Public("podcast", 7)
	_, err = client.Chain(
		laravel.NewCommand(`App\Jobs\ProcessPodcast`, podcast),
		laravel.NewCommand(`App\Jobs\OptimizePodcast`, podcast).OnQueue("go"),
		laravel.NewCommand(`App\Jobs\ReleasePodcast`, podcast),
	).OnQueue("php").Catch(laravel.NewCommand(`App\Jobs\AlertStudio`)).Dispatch(ctx)
	if err != nil {
		panic(err)
	}

	entries, _, err := conn.List(ctx, "php", driver.Pending, "", 1)
	if err != nil {
		panic(err)
	}
	payload, err := format.Decode(entries[0].Body)
	if err != nil {
		panic(err)
	}
	info, err := spool.ChainOf(payload)
	fmt.Println(payload.Name, "then", info.Next, err)
	// Output: App\Jobs\ProcessPodcast then [App\Jobs\OptimizePodcast App\Jobs\ReleasePodcast] <nil>
}
