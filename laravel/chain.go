package laravel

import (
	"fmt"

	"github.com/spoolq/spool/laravel/phpserial"
)

// Then makes the commands the rest of a chain that c begins: each runs when
// the one before it has succeeded.
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

// ChainCatchCallbacks are the closures to be called when a link fails:
// serialized PHP code, which only PHP can run.
func (c *Command) ChainCatchCallbacks() []any { return c.list("chainCatchCallbacks") }

// Next returns the job to be dispatched when c has succeeded, as Laravel makes
// it: the next link with the rest of the chain, on its own connection and
// queue or else the chain's. It is nil without an error at the end of a chain.
// If c was encrypted, so is the next: whether PHP would do so, its class says.
func (c *Command) Next() (*Command, error) {
	values := c.list("chained")
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
	next.Encrypt = c.Encrypt
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
