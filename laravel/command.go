package laravel

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/assign"
	"github.com/spoolq/spool/laravel/phpserial"
)

// Prop is a property of a PHP object.
type Prop = phpserial.Prop

// Public returns a public property. Its value is what [phpserial.Append]
// takes: Go's basic types, slices and maps, [ModelIdentifier], [Carbon] …
func Public(name string, value any) Prop { return Prop{Name: name, Value: value} }

// Protected returns a protected property.
func Protected(name string, value any) Prop {
	return Prop{Name: name, Visibility: phpserial.Protected, Value: value}
}

// Private returns a private property of the object's own class.
func Private(name string, value any) Prop {
	return Prop{Name: name, Visibility: phpserial.Private, Value: value}
}

// Command is the object of a class job. Given to [spool.Dispatch] over a
// connection with this format, it makes a job for that PHP class. Properties
// that are left out keep the defaults of the class, in every version.
//
// What the class itself declares (tries, an interface, a trait) Go can't see:
// the policy in the payload comes from properties given here and from the
// options of the dispatch.
type Command struct {
	// Object is the class and the properties in the order they are written: the
	// class's own, then those of Laravel's traits.
	*phpserial.Object
	// Encrypt stores the command encrypted, as ShouldBeEncrypted does in PHP.
	Encrypt bool
	// DeleteWhenMissingModels drops the job when a model it carries is gone;
	// read and written since Laravel 13, before that the class decides.
	DeleteWhenMissingModels bool

	format *Format // that has read it, or nil
}

var (
	_ spool.Named      = Command{}
	_ spool.Configured = Command{}
	_ spool.Batchable  = Command{}
)

// NewCommand returns a Command with the class's own properties.
func NewCommand(class string, props ...Prop) *Command {
	return &Command{Object: &phpserial.Object{Class: class, Props: props}}
}

// ParseCommand reads a serialized job, e.g. a link of a chain. opt may be nil.
func ParseCommand(text string, opt *phpserial.Options) (*Command, error) {
	v, err := phpserial.Decode(text, opt)
	if err != nil {
		return nil, err
	}
	o, ok := v.(*phpserial.Object)
	if !ok {
		return nil, errors.New("not a serialized PHP object")
	}
	c := &Command{Object: o}
	c.DeleteWhenMissingModels, _ = c.value("deleteWhenMissingModels").(bool)
	return c, nil
}

// Serialize returns the command as PHP's serialize() writes it.
func (c *Command) Serialize() (string, error) {
	s, err := phpserial.Encode(c.Object)
	if err != nil {
		return "", fmt.Errorf("command of %s: %w", c.Class, err)
	}
	return s, nil
}

// JobName is the class.
func (c Command) JobName() string {
	if c.Object == nil {
		return ""
	}
	return c.Class
}

func (c *Command) value(name string) any {
	v, _ := c.Get(name)
	return v
}

func (c *Command) text(name string) string {
	s, _ := c.value(name).(string)
	return s
}

// list returns the values of a property that is an array.
func (c *Command) list(name string) []any {
	a, _ := c.value(name).(*phpserial.Array)
	if a == nil {
		return nil
	}
	out := make([]any, len(a.Entries))
	for i, e := range a.Entries {
		out[i] = phpserial.Resolve(e.Value)
	}
	return out
}

// traitProps are the properties that Laravel's Queueable trait adds, in the
// order of Laravel 13; PHP doesn't mind the order. They are the queue's, not
// the job's.
var traitProps = []string{
	"connection", "queue", "messageGroup", "deduplicator", "debounceOwner", "uniqueLockOwner", "delay",
	"afterCommit", "middleware", "chained", "chainConnection", "chainQueue", "chainCatchCallbacks",
}

// own is the tree of the class's own properties.
func (c *Command) own() assign.Node {
	props := make([]Prop, 0, len(c.Props))
	for _, p := range c.Props {
		switch {
		case slices.Contains(traitProps, p.Name):
		case p.Value == nil && (p.Name == "job" || p.Name == "batchId"):
			// InteractsWithQueue and Batchable; with a value it is the class's own,
			// or the batch's, which a job may want to know.
		case p.Name == "fakeBatch" && p.Visibility == phpserial.Private:
		default:
			props = append(props, p)
		}
	}
	return &node{obj: c.Object, props: props}
}

// set changes a property of a trait. One that the object doesn't have is
// added at its place, unless the value is the trait's default.
func (c *Command) set(name string, value any, isDefault bool) {
	rank := slices.Index(traitProps, name)
	at := len(c.Props)
	for i, p := range c.Props {
		if p.Name == name {
			c.Props[i].Value = value
			return
		}
		if at == len(c.Props) && slices.Index(traitProps, p.Name) > rank && rank >= 0 {
			at = i
		}
	}
	if !isDefault {
		c.Props = slices.Insert(c.Props, at, Public(name, value))
	}
}

// OnConnection names the connection the job is dispatched on. It returns c,
// as do the other methods that change it.
func (c *Command) OnConnection(name string) *Command {
	c.set("connection", name, false)
	return c
}

// OnQueue names the queue the job is dispatched on.
func (c *Command) OnQueue(name string) *Command {
	c.set("queue", name, false)
	return c
}

// WithDelay delays the dispatch; whole seconds, rounded up.
func (c *Command) WithDelay(d time.Duration) *Command {
	c.set("delay", seconds(d), false)
	return c
}

// InBatch makes the job one of a batch. The batch's row must count it.
func (c *Command) InBatch(id string) *Command {
	c.set("batchId", id, false)
	return c
}

// WithBatch implements [spool.Batchable].
func (c Command) WithBatch(id string) any {
	if c.Object == nil {
		return c
	}
	o := *c.Object
	o.Props = slices.Clone(o.Props)
	c.Object = &o
	return c.InBatch(id)
}

// Connection is the connection the job names, or "".
func (c *Command) Connection() string { return c.text("connection") }

// Queue is the queue the job names, or "".
func (c *Command) Queue() string { return c.text("queue") }

// BatchID is the batch of the job, or "".
func (c *Command) BatchID() string { return c.text("batchId") }

// UniqueLockOwner is the owner of the job's unique lock (Laravel 13), or "".
func (c *Command) UniqueLockOwner() string { return c.text("uniqueLockOwner") }

// Middleware are the objects of the $middleware property. What the class's
// middleware() method returns is not stored.
func (c *Command) Middleware() []any { return c.list("middleware") }

// wrapped names the properties of framework jobs that hold what they run.
var wrapped = map[string]string{
	`Illuminate\Events\CallQueuedListener`:             "class",
	`Illuminate\Mail\SendQueuedMailable`:               "mailable",
	`Illuminate\Notifications\SendQueuedNotifications`: "notification",
	`Illuminate\Broadcasting\BroadcastEvent`:           "event",
}

// Wrapped returns the class that a job of the framework itself runs (a queued
// listener, mailable, notification or broadcast event), else "".
func (c *Command) Wrapped() string {
	switch v := c.value(wrapped[c.Class]).(type) {
	case string:
		return v
	case *phpserial.Object:
		return v.Class
	}
	return ""
}

func (c *Command) displayName() string {
	if w := c.Wrapped(); w != "" {
		return w
	}
	return c.Class
}

// JobOptions implements [spool.Configured]: what Laravel reads from the
// properties of a job when it is dispatched.
func (c Command) JobOptions() []spool.DispatchOption {
	if c.Object == nil {
		return nil
	}
	var opts []spool.DispatchOption
	if s := c.Connection(); s != "" {
		opts = append(opts, spool.OnConnection(s))
	}
	if s := c.Queue(); s != "" {
		opts = append(opts, spool.OnQueue(s))
	}
	if n, ok := c.number("tries"); ok {
		opts = append(opts, spool.Tries(n))
	}
	if n, ok := c.number("maxExceptions"); ok {
		opts = append(opts, spool.MaxExceptions(n))
	}
	if n, ok := c.number("timeout"); ok {
		opts = append(opts, spool.Timeout(time.Duration(n)*time.Second))
	}
	if ds := c.backoff(); ds != nil {
		opts = append(opts, spool.Backoff(ds...))
	}
	if t, ok := c.time("retryUntil"); ok {
		opts = append(opts, spool.RetryUntil(t))
	}
	if on, _ := c.value("failOnTimeout").(bool); on {
		opts = append(opts, spool.FailOnTimeout())
	}
	if n, ok := c.number("delay"); ok {
		opts = append(opts, spool.Delay(time.Duration(n)*time.Second))
	} else if t, ok := c.time("delay"); ok {
		opts = append(opts, spool.At(t))
	}
	return opts
}

func (c *Command) number(name string) (n int, ok bool) {
	v := c.value(name)
	if v == nil {
		return 0, false
	}
	return n, into(v, &n)
}

func (c *Command) time(name string) (t time.Time, ok bool) {
	v := c.value(name)
	if v == nil {
		return t, false
	}
	return t, into(v, &t)
}

func (c *Command) backoff() []time.Duration {
	var list []int
	if n, ok := c.number("backoff"); ok {
		list = []int{n}
	} else if v := c.value("backoff"); v == nil || !into(v, &list) {
		return nil
	}
	ds := make([]time.Duration, len(list))
	for i, n := range list {
		ds[i] = time.Duration(n) * time.Second
	}
	return ds
}

// into stores a value given to a Prop, or decoded, in dst.
func into(v, dst any) bool {
	s, err := phpserial.Encode(v)
	if err != nil {
		return false
	}
	tree, err := phpserial.Decode(s, nil)
	return err == nil && assign.PHP(treeOf(tree), dst) == nil
}
