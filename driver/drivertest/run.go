package drivertest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spoolq/spool/driver"
)

// maxLease is the longest lease for which waiting is reasonable in a test.
const maxLease = 30 * time.Second

// A testCase is one rule of the contract.
type testCase struct {
	name  string
	needs []capability // cases whose needs aren't met are listed as skipped
	slow  bool         // mostly waits: runs beside the other slow ones
	run   func(f *fixture)
}

// Run runs the whole suite. It calls open once for every case, with that
// case's t, at times for several cases at once: the cases that wait for leases
// and delays run side by side, whatever -test.parallel says. What the driver
// can't do shows up as skipped tests named capability/NAME.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	probe := open(t)
	missing, err := missingCapabilities(t, probe)
	if err != nil {
		t.Fatal(err)
	}
	var runnable []testCase
	skipped := map[capability][]string{}
	for _, c := range allCases() {
		lack := slices.IndexFunc(c.needs, func(need capability) bool { return missing[need] != "" })
		if lack < 0 {
			runnable = append(runnable, c)
			continue
		}
		skipped[c.needs[lack]] = append(skipped[c.needs[lack]], c.name)
	}
	t.Run("capability", func(t *testing.T) {
		for _, c := range capabilities {
			if names := skipped[c]; names != nil {
				t.Run(string(c), func(t *testing.T) {
					t.Skipf("%s: %s; not run: %s", probe.Conn.Traits().Driver, missing[c], strings.Join(names, ", "))
				})
			}
		}
	})
	runCases(t, open, runnable)
}

// runCases runs the quick cases one after another, then the slow ones at once.
func runCases(t *testing.T, open func(t *testing.T) Harness, cases []testCase) {
	run := func(c testCase) {
		t.Run(c.name, func(t *testing.T) { c.run(newFixture(t, open(t))) })
	}
	var slow sync.WaitGroup
	for _, c := range cases {
		if !c.slow {
			run(c)
		}
	}
	for _, c := range cases {
		if c.slow {
			slow.Go(func() { run(c) })
		}
	}
	slow.Wait()
}

// A capability is something that a case needs and a driver may lack.
type capability string

// The names of interfaces are those of package driver.
const (
	storage      capability = "storage" // jobs stay until they are reserved
	leases       capability = "leases"  // reservations expire
	fencing      capability = "fencing"
	order        capability = "order"
	backOfQueue  capability = "back-of-queue"  // released jobs go behind those that wait
	outlive      capability = "outlives-close" // reservations outlive their connection
	second       capability = "second-connection"
	bodyLimit    capability = "body-limit"
	textLimit    capability = "text-limit"
	delayLimit   capability = "delay-limit"
	binary       capability = "binary-bodies"
	freeBodies   capability = "free-bodies" // any bytes, not only JSON that counts
	keepsExpired capability = "keep-expired"
	txs          capability = "TxPusher"
	txDeletes    capability = "TxDeleter"
	waits        capability = "Waiter"
	extends      capability = "Extender"
	returns      capability = "Returner"
	sizes        capability = "Sizer"
	exactSizes   capability = "exact-sizes"
	lists        capability = "Lister"
	listsQueues  capability = "QueueLister"
	clears       capability = "Clearer"
	rescues      capability = "Rescuer"
	pings        capability = "Pinger"
	advises      capability = "Advisor"
	selects      capability = "Selector"
	registers    capability = "Registrar"
)

var capabilities = []capability{
	storage, leases, fencing, order, backOfQueue, outlive, second, bodyLimit, textLimit, delayLimit, binary, freeBodies, keepsExpired,
	txs, txDeletes, waits, extends, returns, sizes, exactSizes, lists, listsQueues, clears, rescues, pings, advises, registers, selects,
}

// missingCapabilities returns what the driver can't do, and why. It is an
// error if the harness doesn't let the suite try what the driver can do.
func missingCapabilities(t *testing.T, h Harness) (map[capability]string, error) {
	if h.Conn == nil {
		return nil, fmt.Errorf("the harness has no Conn")
	}
	c, traits := h.Conn, h.Conn.Traits()
	why := map[capability]string{}
	lacks := func(name capability, lack bool, reason string) {
		if lack {
			why[name] = reason
		}
	}
	lacks(storage, traits.Instant, "jobs run inside Push")
	lacks(storage, h.Discards, "jobs are discarded")
	lacks(leases, traits.Lease == 0, "reservations don't expire")
	lacks(fencing, h.BestEffortFencing, "fencing is best effort")
	lacks(order, h.Unordered, "order is best effort")
	lacks(backOfQueue, h.Unordered || h.OldestFirst, "a released job goes where its age puts it")
	lacks(outlive, h.LeasesEndOnClose, "closing a connection ends its reservations")
	lacks(second, h.Second == nil, "the store lives inside one connection")
	lacks(bodyLimit, traits.MaxBody == 0, "bodies of any size are accepted")
	lacks(textLimit, !traits.TextOnly, "bodies needn't be text")
	lacks(delayLimit, traits.MaxDelay == 0, "delays of any length are accepted")
	lacks(binary, traits.TextOnly || traits.CountsInBody, "bodies must be text")
	lacks(freeBodies, traits.CountsInBody, "attempts are counted inside the body")
	lacks(keepsExpired, h.KeepExpired == nil, "expired reservations are always taken back")
	const absent = "not implemented"
	lacks(txs, !is[driver.TxPusher](c), absent)
	lacks(txDeletes, !is[driver.TxDeleter](c), absent)
	lacks(waits, !is[driver.Waiter](c), absent)
	lacks(extends, !is[driver.Extender](c), absent)
	lacks(returns, !is[driver.Returner](c), absent)
	lacks(sizes, !is[driver.Sizer](c), absent)
	lacks(exactSizes, h.Estimates, "sizes are estimates")
	lacks(lists, !is[driver.Lister](c), absent)
	lacks(listsQueues, !is[driver.QueueLister](c), absent)
	lacks(clears, !is[driver.Clearer](c), absent)
	lacks(rescues, !is[driver.Rescuer](c), absent)
	lacks(pings, !is[driver.Pinger](c), absent)
	lacks(advises, !is[driver.Advisor](c), absent)
	lacks(selects, !is[driver.Selector](c), absent)
	lacks(registers, !is[driver.Registrar](c), absent)
	if why[storage] == "" {
		if traits.Lease > maxLease {
			return nil, fmt.Errorf("the lease is %v: open the connection with a short one, best %v", traits.Lease, driver.MinLease)
		}
		if why[txs] == "" && len(h.Txs) == 0 {
			return nil, fmt.Errorf("%s is a driver.TxPusher: say in Harness.Txs how to begin a transaction", traits.Driver)
		}
	}
	return why, nil
}

func is[T any](c driver.Conn) bool {
	_, ok := c.(T)
	return ok
}

// allCases returns the cases of every file.
func allCases() []testCase {
	return slices.Concat(
		generalCases(), pushCases(), limitCases(), reserveCases(), cancelCases(), settleCases(), returnCases(),
		delayCases(), leaseCases(), waitCases(), closeCases(), inspectCases(), rescueCases(), txCases(), recordCases(), selectionCases(), modelCases())
}
