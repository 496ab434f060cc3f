package spool_test

import (
	"context"
	"fmt"

	"github.com/spoolq/spool"
)

func remind(_ context.Context, job SendReminderEmail) error {
	fmt.Println("reminding user", job.UserID)
	return nil
}

// One handler serves the jobs of a Go type and those of a PHP class with the
// same properties: userId and user_id are the same.
func ExampleAlias() {
	mux := spool.NewMux()
	spool.Handle(mux, remind, spool.Alias(`App\Jobs\SendReminderEmail`))
	fmt.Println(mux.Names())
	// Output: [App\Jobs\SendReminderEmail SendReminderEmail]
}
