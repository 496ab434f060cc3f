// Package spool is a job queue for Go that speaks Laravel.
//
// A job is a Go value. Its type says its name, its fields are its data:
//
//	type SendReminderEmail struct {
//		UserID int64 `json:"user_id"`
//	}
//
// A [Client] dispatches jobs to a queue of a connection; what is stored is
// what Laravel's own queue would store, so PHP can consume it, and produce it:
//
//	spool.Dispatch(ctx, client, SendReminderEmail{UserID: 1},
//		spool.OnQueue("emails"), spool.Delay(10*time.Minute))
//
// A [Mux] holds the handlers, and a worker (package worker) runs them:
//
//	mux := spool.NewMux()
//	spool.Handle(mux, func(ctx context.Context, job SendReminderEmail) error {
//		…
//	}, spool.Tries(3), spool.Backoff(time.Second, 5*time.Second))
//
// A handler that returns nil is done; an error is retried or fails by the
// job's [Policy]; [Release] and [Fail] decide by hand. [JobFrom] tells a
// handler which attempt it is. [Events] tell everybody else.
//
// Jobs run at least once, are never lost, and never run twice while the first
// run lives: a worker renews the reservation of a job for as long as its
// handler runs, and cancels the handler's context when it is lost.
//
// A [Connection] is a named way to a backend (package driver and its
// implementations), a queue is a name on it. This package pulls in no
// database or cloud SDK.
package spool
