// Package drivertest proves queue drivers: it holds them against the contract
// of package driver, on the real server, from the outside.
//
// A driver's test opens a connection and hands it over:
//
//	func TestConformance(t *testing.T) {
//		server := startServer(t)
//		open := func(t *testing.T) driver.Conn {
//			c, err := myqueue.Open(t.Context(), server, &myqueue.Options{RetryAfter: driver.MinLease})
//			if err != nil {
//				t.Fatal(err)
//			}
//			t.Cleanup(func() { c.Close() })
//			return c
//		}
//		drivertest.Run(t, func(t *testing.T) drivertest.Harness {
//			return drivertest.Harness{Conn: open(t), Second: open}
//		})
//	}
//
// # What it needs
//
// A short lease: reservations must run out while the suite waits. The shortest,
// driver.MinLease, lets it finish in some 20 seconds, most of which it sleeps.
//
// A way to open a second connection (Harness.Second), unless the store lives in
// the connection. It stands for the other process: much of the contract is
// about what another holder may and may not do.
//
// Nothing else. The store needn't be empty, nor be the case's own: queue names
// are new in every case. What the cases leave behind is under names that begin
// with "dt-" ("bench-" for benchmarks).
//
// # What it checks
//
// Every case is a sentence of the contract and is named like one, so that
//
//	go test -run 'TestConformance/a_late_holder'
//
// runs those about a late holder. Cases that need an optional interface, or
// something that Traits or the harness say the driver can't do, are not run;
// they are listed in a skipped test named after what is missing, e.g.
// capability/Extender. A capability is never assumed: implement the method and
// its cases run.
//
// Jobs are compared byte by byte with what was pushed, in every case. Where
// Traits.CountsInBody says that attempts are counted inside the body, its
// bodies are JSON objects with "id" and "attempts", and that number may differ
// and nothing else.
//
// Times are judged by what was seen: a job came too early if an answer showed
// it before its time, too late if it was looked for after its time and wasn't
// there. A slow machine makes a case slow, not red. Delays must never end
// early, and end at most one Traits.Resolution late; leases may also end one
// Resolution early, as those of Laravel do, which counts whole seconds.
//
// # The random run
//
// [Model], which is part of Run, does the same random things to the driver and
// to memqueue, the reference, and compares every answer. It logs its seed:
//
//	go test -run 'TestConformance/a_random_run' -drivertest.seed=42
//
// # Mistakes it is there to find
//
// Deleting by id alone (a late worker deletes the job of the next one). Leases
// renewed in the same second that look lost. Row ids that are used again. A
// Reserve that was cancelled between the server's move and the client's read.
// Bodies that were decoded and encoded again. A batch that failed because of one
// item. Waiters that sleep through a job that was put off. Expired reservations
// counted twice.
package drivertest
