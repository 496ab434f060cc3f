package cli

import (
	"context"
	"errors"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
)

// onlyPeeks says whether a connection shows the next jobs alone.
func onlyPeeks(conn *spool.Connection) bool {
	_, lists := conn.Driver().(driver.Lister)
	_, peeks := conn.Driver().(driver.Peeker)
	return peeks && !lists
}

// peek lists what a store that can't be listed shows: the next job of each
// state. Of the states that weren't asked for by name, it passes over those of
// which the store shows nothing.
func (e *env) peek(ctx context.Context, conn *spool.Connection, o listOptions) error {
	chosen, err := states(o.states)
	if err != nil {
		return err
	}
	if len(o.states) == 0 {
		chosen = append(chosen, driver.Buried)
	}
	n := 0
	for _, state := range chosen {
		entry, ok, err := conn.Peek(ctx, o.queue, state)
		switch {
		case errors.Is(err, errors.ErrUnsupported) && len(o.states) == 0:
		case err != nil:
			return cannot(err, conn, "show a job that is "+string(state))
		case ok && (o.limit == 0 || n < o.limit):
			n++
			if err := e.printEntry(conn, conn.QueueOr(o.queue), entry, o); err != nil {
				return err
			}
		}
	}
	if n == 0 && !o.json {
		e.say("No jobs found.")
	}
	if n > 0 {
		e.note("%s shows no more than the next job of each state; %s size counts them.", conn.Driver().Traits().Driver, e.name())
	}
	return nil
}
