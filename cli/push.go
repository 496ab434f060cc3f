package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/spoolq/spool"
)

// pushOptions are the flags of push.
type pushOptions struct {
	data, queue, connection string
	group, deduplicate      string
	delay, timeout          secondsFlag
	at, until               timeFlag
	backoff                 []string
	tries, maxExceptions    int
	failOnTimeout, json     bool
}

// pushCommand is queue:push, which Laravel has not.
func pushCommand(e *env) *cobra.Command {
	var o pushOptions
	cmd := &cobra.Command{
		Use:   "queue:push NAME",
		Short: "Push a job",
		Long: `Push a job of a name, with JSON as its data, and print its uuid. What is given of
its policy travels with it, and wins over the handler's and the worker's.`,
		Example: "  " + e.name() + ` push hello.world --data '{"name":"Ann"}' --queue high --delay 10m
  ` + e.name() + ` push import.day --data - --at '2030-01-31 06:00' <day.json`,
		Args: arguments(1, 1, "the name of one job"),
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "{}", "the job's data as `JSON`; - reads it from standard input")
	f.StringVar(&o.connection, "connection", "", "the `CONNECTION` (default: the default one)")
	f.StringVar(&o.queue, "queue", "", "the `QUEUE` (default: the connection's own)")
	f.StringVar(&o.group, "group", "", "the message group, `ID`, on SQS")
	f.StringVar(&o.deduplicate, "deduplicate", "", "drop it if a job with this `ID` was pushed within 5 minutes, on FIFO queues of SQS")
	f.Var(&o.delay, "delay", "how long until it may run, in seconds or e.g. 10m")
	f.Var(&o.at, "at", "when it may run: 2030-01-31 06:00 here, or 2030-01-31T06:00:00Z")
	f.IntVar(&o.tries, "tries", 0, "its attempts, `N`; 0: any number")
	f.IntVar(&o.maxExceptions, "max-exceptions", 0, "fail it after `N` errors")
	f.Var(&o.timeout, "timeout", "how long it may run; 0: any time")
	f.StringSliceVar(&o.backoff, "backoff", nil, "`SECONDS` to wait before the next attempts, e.g. 1,5,10")
	f.Var(&o.until, "retry-until", "try it again any number of times until then, as --at")
	f.BoolVar(&o.failOnTimeout, "fail-on-timeout", false, "fail it at its first timeout")
	f.BoolVar(&o.json, "json", false, "print a JSON object")
	_ = cmd.RegisterFlagCompletionFunc("connection", e.completeConnections)
	e.completeQueues(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := o.options(f)
		if err != nil {
			return err
		}
		return e.push(cmd.Context(), args[0], o, opts)
	}
	return cmd
}

// options turns the flags into those of a dispatch.
func (o *pushOptions) options(f *pflag.FlagSet) ([]spool.DispatchOption, error) {
	if f.Changed("delay") && f.Changed("at") {
		return nil, usagef("--delay and --at both say when: give one of them")
	}
	if o.tries < 0 || o.maxExceptions < 0 {
		return nil, usagef("--tries and --max-exceptions must not be negative")
	}
	opts := []spool.DispatchOption{spool.OnConnection(o.connection), spool.OnQueue(o.queue)}
	add := func(name string, opt spool.DispatchOption) {
		if f.Changed(name) {
			opts = append(opts, opt)
		}
	}
	add("group", spool.OnGroup(o.group))
	add("deduplicate", spool.Deduplicate(o.deduplicate))
	add("delay", spool.Delay(time.Duration(o.delay)))
	add("at", spool.At(time.Time(o.at)))
	add("tries", spool.Tries(o.tries))
	add("max-exceptions", spool.MaxExceptions(o.maxExceptions))
	add("timeout", spool.Timeout(time.Duration(o.timeout)))
	add("retry-until", spool.RetryUntil(time.Time(o.until)))
	if o.failOnTimeout {
		opts = append(opts, spool.FailOnTimeout())
	}
	var waits []time.Duration
	for _, text := range o.backoff {
		var d secondsFlag
		if err := d.Set(strings.TrimSpace(text)); err != nil {
			return nil, usagef("--backoff %q: %w", text, err)
		}
		waits = append(waits, time.Duration(d))
	}
	add("backoff", spool.Backoff(waits...))
	return opts, nil
}

// pushed is push --json.
type pushed struct {
	UUID       string     `json:"uuid"`
	ID         string     `json:"id,omitempty"`
	Connection string     `json:"connection"`
	Queue      string     `json:"queue"`
	Job        string     `json:"job"`
	Due        *time.Time `json:"due,omitempty"` // of a delayed job
}

func (e *env) push(ctx context.Context, name string, o pushOptions, opts []spool.DispatchOption) error {
	if strings.TrimSpace(name) == "" {
		return usagef("the name of the job is empty")
	}
	data, err := e.jobData(o.data)
	if err != nil {
		return err
	}
	set, err := e.open(ctx)
	if err != nil {
		return err
	}
	if err := e.known(cmp.Or(o.connection, set.Config.Default)); err != nil {
		return err
	}
	due := time.Time(o.at)
	if o.delay > 0 {
		due = time.Now().Add(time.Duration(o.delay))
	}
	ref, err := spool.Push(ctx, set.Client, name, data, opts...)
	if err != nil {
		return err
	}
	if !o.json {
		e.say("%s", ref.UUID)
		return nil
	}
	p := pushed{UUID: ref.UUID, ID: ref.ID, Connection: ref.Connection, Queue: ref.Queue, Job: name}
	if due.After(time.Now()) {
		p.Due = &due
	}
	return e.object(p)
}

// jobData returns the data of a job as it was given: "-" stands for what is on
// standard input.
func (e *env) jobData(text string) (json.RawMessage, error) {
	data, where := []byte(text), "--data"
	if text == "-" {
		where = "standard input"
		var err error
		if data, err = io.ReadAll(e.io.In); err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
	}
	if err := checkJSON(data); err != nil {
		return nil, usagef("%s: %w", where, err)
	}
	return bytes.TrimSpace(data), nil
}

// checkJSON says where a text stops being one JSON value.
func checkJSON(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return errors.New("there is no JSON; {} is no data")
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return fmt.Errorf("%s: a byte that is not UTF-8, which JSON is written in", position(data, i))
		}
		i += n
	}
	var v json.RawMessage
	err := json.Unmarshal(data, &v)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at := int(syntax.Offset) - 1
		if int(syntax.Offset) >= len(data) && strings.Contains(err.Error(), "unexpected end") {
			at = len(data)
		}
		return fmt.Errorf("%s: not JSON: %w", position(data, at), err)
	}
	return err
}

// position is a place in a text as people count, in characters.
func position(data []byte, at int) string {
	before := data[:min(max(at, 0), len(data))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	if !bytes.Contains(data, []byte("\n")) {
		return "character " + strconv.Itoa(column)
	}
	return fmt.Sprintf("line %d, character %d", line, column)
}

// timeFlag is a flag with a point in time.
type timeFlag time.Time

// String implements pflag.Value.
func (t *timeFlag) String() string {
	if time.Time(*t).IsZero() {
		return ""
	}
	return time.Time(*t).Format(time.RFC3339)
}

// Type implements pflag.Value.
func (t *timeFlag) Type() string { return "TIME" }

// Set implements pflag.Value. A time without a zone is this machine's.
func (t *timeFlag) Set(s string) error {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if v, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			*t = timeFlag(v)
			return nil
		}
	}
	return errors.New("want a time as in 2030-01-31 06:00 (this machine's), or 2030-01-31T06:00:00Z")
}
