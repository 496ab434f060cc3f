package cli

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/listen"
	"github.com/spoolq/spool/presence"
)

// bootChecks looks at the settings before a worker starts: it refuses what
// can't go well, and prints what may hurt. A child of queue:listen leaves
// that to its parent.
func (e *env) bootChecks(ctx context.Context, connection string) error {
	if e.variable(listen.EnvChild) != "" {
		return nil
	}
	set, err := e.open(ctx)
	if err != nil {
		return err
	}
	if err := e.known(connection); err != nil {
		return orQueue(err, connection)
	}
	connection = cmp.Or(connection, set.Config.Default)
	refused := 0
	for _, f := range config.Check(set.Config, connection)[len(set.Config.Warnings):] {
		if f.Level == config.Refuse {
			refused++
			e.complain(fmt.Errorf("%s", f))
		} else {
			e.note("%s: %s", e.name(), f)
		}
	}
	if refused > 0 {
		return usagef("the settings can't work; %s check lists what is wrong", e.name())
	}
	conn, err := e.connection(ctx, connection)
	if err != nil {
		return err
	}
	if err := conn.Ping(ctx); err != nil {
		return err
	}
	advice, err := conn.Advise(ctx)
	if err != nil {
		return err
	}
	for _, a := range advice {
		e.note("%s: warn: connection %s: %s", e.name(), connection, a)
	}
	return e.checkQueues(ctx, connection)
}

// checkQueues refuses queues that hold the jobs of another system.
func (e *env) checkQueues(ctx context.Context, connection string) error {
	if !e.configured(connection) {
		return e.set.Ready(ctx)
	}
	queues := e.set.Config.Worker.Queue
	advice, err := e.set.CheckQueues(ctx, connection, queues...)
	if err != nil {
		return err
	}
	advice = append(advice, e.set.BesidePHP(connection, queues...)...)
	for _, a := range advice {
		e.note("%s: warn: connection %s: %s", e.name(), connection, a)
	}
	return e.set.Ready(ctx)
}

// checkCommand is check.
func checkCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [connection...]",
		Short: "Check the settings, and whether everything they name answers",
		Long: `Check the settings that the named connections use (default: the default one and
those that the settings name), and ask their servers. Exit code 1 if something
is refused or doesn't answer; warnings alone are 0.`,
		ValidArgsFunction: e.completeConnections,
		RunE: func(cmd *cobra.Command, names []string) error {
			return e.check(cmd.Context(), names, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each finding")
	return cmd
}

// finding is a line of check --json.
type finding struct {
	Level   string `json:"level"` // ok, warn, refuse
	About   string `json:"about"`
	Message string `json:"message,omitempty"`
	Source  string `json:"source,omitempty"`
}

func (e *env) check(ctx context.Context, names []string, asJSON bool) error {
	e.warned = true // they are findings here
	set, err := e.open(ctx)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = set.Used()
		for _, name := range set.Manager.Names() {
			if !e.configured(name) {
				names = append(names, name) // Setup's
			}
		}
	}
	for _, name := range names {
		if err := e.known(name); err != nil {
			return err
		}
	}
	tell := func(f finding) {
		if f.Level == string(config.Refuse) {
			e.code = exitError
		}
		if asJSON {
			_ = e.object(f) // strings always encode
			return
		}
		line := fmt.Sprintf("%-7s %s", f.Level, printable(f.About))
		if f.Message != "" {
			line += ": " + printable(f.Message)
		}
		if f.Source != "" {
			line += " [" + printable(f.Source) + "]"
		}
		e.say("%s", line)
	}
	for _, f := range config.Check(set.Config, names...) {
		source := ""
		if f.Source != (config.Source{}) {
			source = f.Source.String()
		}
		tell(finding{string(f.Level), f.Key, f.Message, source})
	}
	for _, name := range names {
		e.checkConnection(ctx, name, tell)
	}
	beside := finding{Level: "ok", About: "failed jobs and cache"}
	if err := set.Ready(ctx); err != nil {
		beside.Level, beside.Message = string(config.Refuse), e.explain(err).Error()
	}
	tell(beside)
	return nil
}

// checkConnection asks the server of a connection.
func (e *env) checkConnection(ctx context.Context, name string, tell func(finding)) {
	about := "connection " + name
	conn, err := e.connection(ctx, name)
	if err == nil {
		err = conn.Ping(ctx)
	}
	var advice []string
	if err == nil {
		advice, err = conn.Advise(ctx)
	}
	if err == nil && e.configured(name) {
		var some []string
		some, err = e.set.CheckQueues(ctx, name, e.set.Config.Worker.Queue...)
		advice = append(append(advice, some...), e.set.BesidePHP(name, e.set.Config.Worker.Queue...)...)
	}
	if err == nil && e.configured(name) {
		if some, err := e.set.OtherPrefixes(ctx, name); err == nil { // a hint; an account may not list keys
			advice = append(advice, some...)
		}
	}
	if err != nil {
		tell(finding{Level: string(config.Refuse), About: about, Message: e.explain(err).Error()})
		return
	}
	if _, can := conn.Driver().(driver.Registrar); can {
		if _, err := presence.List(ctx, conn); err != nil {
			advice = append(advice, "workers of these queues can't be seen, nor can two profiles or environments on them be found: "+e.explain(err).Error())
		}
	}
	for _, a := range advice {
		tell(finding{Level: string(config.Warn), About: about, Message: a})
	}
	tell(finding{Level: "ok", About: about, Message: conn.Driver().Traits().Driver})
}
