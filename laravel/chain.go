package laravel

import (
	"fmt"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/laravel/phpserial"
)

// Then makes the commands the rest of a chain that c begins: each runs when
// the one before it has succeeded. [spool.Client.Chain] does more.
func (c *Command) Then(rest ...*Command) error {
	links := make([]any, len(rest))
	for i, next := range rest {
		s, err := next.Serialize()
		if err != nil {
			return err
		}
		links[i] = s
	}
	c.set("chained", phpserial.List(links...), len(links) == 0)
	return nil
}

// ChainOn names the connection and queue of links that name none themselves;
// "" leaves the default.
func (c *Command) ChainOn(connection, queue string) *Command {
	c.setText("chainConnection", connection)
	c.setText("chainQueue", queue)
	return c
}

// setText sets a property of a trait to a text, or to null if it is empty.
func (c *Command) setText(name, value string) {
	if value == "" {
		c.set(name, nil, true)
		return
	}
	c.set(name, value, false)
}

// Chained are the rest of the chain, serialized jobs each; see [Command.Next].
func (c *Command) Chained() []string {
	var links []string
	for _, v := range c.list("chained") {
		if s, ok := v.(string); ok {
			links = append(links, s)
		}
	}
	return links
}

// ChainConnection is the connection of links that name none, or "".
func (c *Command) ChainConnection() string { return c.text("chainConnection") }

// ChainQueue is the queue of links that name none, or "".
func (c *Command) ChainQueue() string { return c.text("chainQueue") }

// ChainCatchCallbacks are what is to be called when a link fails: mostly
// closures, serialized PHP code, which only PHP can run. [Command.Chain] says
// what becomes of them.
func (c *Command) ChainCatchCallbacks() []any { return c.list("chainCatchCallbacks") }

// Next returns the job to be dispatched when c has succeeded, as Laravel makes
// it: the next link with the rest of the chain, on its own connection and
// queue or else the chain's. It is nil without an error at the end of a chain.
//
// The next is encrypted if c was, or if it has a property shouldBeEncrypted
// that says so: whether PHP would do it, its class says.
func (c *Command) Next() (*Command, error) { return c.next(c.list("chained")) }

func (c *Command) next(values []any) (*Command, error) {
	if len(values) == 0 {
		return nil, nil
	}
	text, ok := values[0].(string)
	if !ok {
		return nil, fmt.Errorf("chain of %s: the next link is no serialized job", c.Class)
	}
	next, err := ParseCommand(text, nil)
	if err != nil {
		return nil, fmt.Errorf("chain of %s: next link: %w", c.Class, err)
	}
	wants, _ := next.value("shouldBeEncrypted").(bool)
	next.Encrypt, next.format = c.Encrypt || wants, c.format
	rest := values[1:]
	next.set("chained", phpserial.List(rest...), len(rest) == 0)
	if next.Connection() == "" {
		next.setText("connection", c.ChainConnection())
	}
	if next.Queue() == "" {
		next.setText("queue", c.ChainQueue())
	}
	next.setText("chainConnection", c.ChainConnection())
	next.setText("chainQueue", c.ChainQueue())
	callbacks, _ := c.raw("chainCatchCallbacks")
	next.set("chainCatchCallbacks", callbacks, callbacks == nil)
	return next, nil
}

// raw returns a property's value as it stands in the tree.
func (c *Command) raw(name string) (any, bool) {
	for _, p := range c.Props {
		if p.Name == name {
			return p.Value, true
		}
	}
	return nil, false
}

var _ spool.Chainable = Command{}

// Chain implements [spool.Chainable]: a chain of commands is kept where Laravel
// keeps it, inside the command, so that PHP's workers go on with it as Spool's do.
//
// What Spool does when a link fails that it has run:
//
//   - A job that was given to [spool.Chain.Catch] is dispatched. It is stored as
//     something that PHP can call, and dispatches it too.
//   - Closures, and whatever else PHP calls, are handed to PHP: a job is
//     dispatched which any Laravel can run without code of ours, and which calls
//     them with an exception that has the failure's text. It goes where
//     [Options.PHPConnection] and [Options.PHPQueue] say, else where a link goes
//     that says nothing itself.
func (c Command) Chain() spool.Chained { return chained{&c} }
