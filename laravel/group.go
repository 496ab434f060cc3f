package laravel

import "github.com/spoolq/spool"

var _ spool.Grouped = (*Command)(nil)

// OnGroup puts the job into a message group of SQS, as onGroup does in PHP, and
// returns c. It is kept in the object, so that PHP finds it too.
func (c *Command) OnGroup(id string) *Command {
	c.set("messageGroup", id, id == "")
	return c
}

// MessageGroup implements [spool.Grouped]: the property messageGroup, "" if it
// isn't a text.
func (c *Command) MessageGroup() string { return c.text("messageGroup") }
