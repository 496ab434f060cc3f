// Package spooltest tests code that dispatches jobs, and the handlers that run
// them, without a server.
//
// A [Fake] stands in for a client's connections. It records what is dispatched
// and runs nothing:
//
//	fake := spooltest.NewFake(t, nil)
//	placeOrder(ctx, fake.Client, 7)
//	mails := spooltest.AssertPushed[SendReceipt](fake, 1) // and 0 for none
//	// mails[0].Job.Order, mails[0].Queue, mails[0].Delay …
//
// [Run] runs one job as a worker would, and returns what became of it. [Work]
// works what was dispatched until nothing is left, delayed jobs, retries, chains
// and batches included; inside of testing/synctest it does so at once, and the
// clock shows what it should. With [FakeOptions.Inline] jobs run inside of their
// dispatch.
//
// Nothing here is global: each test has its own Fake, and tests may run in
// parallel. No goroutine outlives a call. In a test of testing/synctest, make the
// Fake inside of the bubble.
//
// The jobs are real ones, encoded and decoded by the format of their connection,
// in package memqueue; worker and followers are those of production. The package
// brings no SDK of a database or cloud.
package spooltest
