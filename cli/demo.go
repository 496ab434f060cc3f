package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/demo"
	"github.com/spoolq/spool/sqldb/schema"
)

// demoOptions are the flags of demo.
type demoOptions struct {
	connection, keep string
	jobs             int
	json             bool
}

// demoCommand is demo.
func demoCommand(e *env) *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See jobs pushed, worked, retried, failed and retried again",
		Long: `Push a small shop's jobs, work them, and check that none was lost and none ran twice.
It needs nothing: the jobs are in a SQLite file in a temporary folder. Exit code 0 means
that the counts add up.

On a connection of your own it uses the queues demo-high and demo, and refuses to start if
they hold jobs of others; it creates tables that are missing. The record of the job that
failed for good stays, to be listed and retried.`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return e.demo(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.connection, "connection", "", "`NAME` of a configured connection to use instead")
	f.StringVar(&o.keep, "keep", "", "use this SQLite `FILE`, and keep it")
	f.IntVar(&o.jobs, "jobs", 300, "how many `JOBS`; 0: push none, work what an earlier demo has left")
	f.BoolVar(&o.json, "json", false, "print the summary as JSON, the progress on standard error")
	_ = cmd.RegisterFlagCompletionFunc("connection", e.completeConnections)
	return cmd
}

func (e *env) demo(ctx context.Context, o demoOptions) error {
	if o.jobs != 0 && o.jobs < demo.MinJobs {
		return usagef("--jobs must be %d or more, so that every sort of job has its place (or 0: work what is left)", demo.MinJobs)
	}
	if o.connection != "" && o.keep != "" {
		return usagef("--connection and --keep exclude each other: a demo works on one store")
	}
	// A second signal ends the process the hard way.
	ctx, restore := signal.NotifyContext(ctx, stopSignals...)
	defer restore()
	defer context.AfterFunc(ctx, restore)()

	d, err := e.demoStore(ctx, o)
	if err != nil {
		return err
	}
	opts := e.demoScreen(o)
	if opts.Out != nil {
		fmt.Fprintf(opts.Out, "%s on %s, queues %s\n", count(int64(o.jobs), "job"), printable(d.where), strings.Join(demo.Queues(), " and "))
	}
	sum, err := d.run(ctx, opts)
	if sum != nil {
		err = errors.Join(err, e.tell(d, sum))
	}
	return errors.Join(err, d.close())
}

// demoScreen says where and how the progress is shown.
func (e *env) demoScreen(o demoOptions) *demo.Options {
	opts := &demo.Options{Connection: o.connection, Jobs: o.jobs, Out: e.io.Out}
	if o.json {
		opts.Out = e.io.Err
	}
	if e.quiet {
		opts.Out = nil
	}
	if f := terminal(opts.Out); f != nil && e.variable("TERM") != "dumb" && speaksANSI(f) {
		opts.Colour = e.variable("NO_COLOR") == ""
		opts.Width = func() int {
			width, _, err := term.GetSize(int(f.Fd()))
			if err != nil || width <= 0 {
				return 80
			}
			return width
		}
	}
	return opts
}

// terminal returns the terminal that a stream of the command line is, or nil.
func terminal(stream io.Writer) *os.File {
	if c, ok := stream.(*checkedWriter); ok {
		stream = c.w
	}
	if f, ok := stream.(*os.File); ok && isTerminal(f) {
		return f
	}
	return nil
}

// demoStore is where a demo keeps its jobs.
type demoStore struct {
	o     demoOptions
	set   *connect.Set
	where string // for people
	file  string // the SQLite file, absolute; empty on a configured connection
	dir   string // the temporary folder; empty if the file is kept
}

// demoStore opens what the demo works on and creates its tables.
func (e *env) demoStore(ctx context.Context, o demoOptions) (d *demoStore, err error) {
	d = &demoStore{o: o}
	if o.connection != "" {
		err = d.configured(ctx, e)
	} else {
		err = d.embedded(e)
	}
	if err == nil {
		err = d.tables(ctx, e)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// configured uses a connection of the settings in force.
func (d *demoStore) configured(ctx context.Context, e *env) (err error) {
	d.where = "connection " + d.o.connection
	if d.set, err = e.open(ctx); err != nil {
		return err
	}
	if err := e.known(d.o.connection); err != nil {
		return err
	}
	conn, err := d.set.Manager.Connection(ctx, d.o.connection)
	if err != nil {
		return err
	}
	return demo.Usable(conn)
}

// embedded uses the embedded default, whatever is configured.
func (d *demoStore) embedded(e *env) (err error) {
	if d.o.keep == "" {
		if d.dir, err = os.MkdirTemp("", "spool-demo-"); err != nil {
			return err
		}
		d.file, d.where = filepath.Join(d.dir, "spool.db"), "SQLite in a temporary folder"
	} else {
		if d.file, err = filepath.Abs(filepath.Join(e.io.Dir, d.o.keep)); filepath.IsAbs(d.o.keep) {
			d.file = filepath.Clean(d.o.keep)
		}
		d.where = "SQLite in " + d.o.keep
	}
	if err != nil {
		return err
	}
	// There is no folder of the file's name, hence no settings in it.
	cfg, err := config.Load(&config.Options{Dir: d.file, NoEnvFile: true, Flags: []config.Flag{
		{Name: "--keep", Key: "database.connections.sqlite.database", Value: d.file},
	}})
	if err != nil {
		return err
	}
	d.set, err = connect.New(cfg, &connect.Options{Logger: e.logger()})
	return err
}

// tables creates those that are missing. One that exists is left as it is.
func (d *demoStore) tables(ctx context.Context, e *env) error {
	for _, t := range d.set.Tables(d.o.connection) {
		if d.file == "" && t.Names.Jobs == "" && t.Names.FailedJobs == "" {
			continue // the demo doesn't use it
		}
		db, err := d.set.Database(ctx, t.Database)
		if err != nil {
			return err
		}
		missing, err := schema.Missing(ctx, db, t.Names)
		if err != nil {
			return d.set.Explain(fmt.Errorf("database %s: %w", t.Database, err))
		}
		if !slices.Contains(missing, t.Name()) {
			continue
		}
		if _, err := schema.Create(ctx, db, t.Names); err != nil {
			return fmt.Errorf("database %s: %w", t.Database, err)
		}
		if d.file == "" {
			e.note("Created the table %s in the database %s.", t.Name(), t.Database)
		}
	}
	return nil
}

func (d *demoStore) run(ctx context.Context, opts *demo.Options) (sum *demo.Summary, err error) {
	if opts.Failed, err = d.set.Failed(ctx); err != nil {
		return nil, fmt.Errorf("failed jobs: %w", err)
	}
	return demo.Run(ctx, d.set.Client, opts)
}

// close closes what the demo has opened for itself, and removes what is not
// kept.
func (d *demoStore) close() (err error) {
	if d.set != nil && d.file != "" {
		err = d.set.Close()
	}
	if d.dir != "" {
		err = errors.Join(err, os.RemoveAll(d.dir))
	}
	return err
}

// tell prints the summary, what is left, and what to try next.
func (e *env) tell(d *demoStore, sum *demo.Summary) error {
	if !sum.OK {
		e.code = exitError
	}
	if d.o.json {
		for _, line := range e.leftovers(d, sum) {
			e.note("%s", line)
		}
		return e.object(sum)
	}
	if err := sum.Print(e.io.Out); err != nil {
		return err
	}
	for _, line := range e.leftovers(d, sum) {
		e.say("  %s", line)
	}
	if sum.OK && !e.quiet {
		e.say("\n  Try next:")
		for _, line := range e.nextCommands(d, sum) {
			e.say("    %s", line)
		}
	}
	return nil
}

// leftovers says what a run that didn't end well has left where.
func (e *env) leftovers(d *demoStore, sum *demo.Summary) []string {
	if sum.OK {
		return nil
	}
	var lines []string
	if sum.Interrupted {
		lines = append(lines, fmt.Sprintf("Interrupted after %.1f s: %d of %d jobs are done.", sum.Seconds, sum.Processed, sum.Pushed+sum.Adopted))
	}
	var left []string
	for _, l := range sum.Left {
		jobs := "an unknown number of jobs"
		if l.Jobs != nil {
			jobs = count(*l.Jobs, "job")
		}
		left = append(left, jobs+" on "+l.Queue)
	}
	if n := len(sum.FailedJobs); n > 0 {
		left = append(left, count(int64(n), "record")+" of failed jobs")
	}
	what := strings.Join(left, ", ")
	switch {
	case what == "":
		return append(lines, "Nothing is left.")
	case d.dir != "":
		return append(lines, fmt.Sprintf("What was left is gone with the temporary file: %s.", what))
	}
	lines = append(lines, fmt.Sprintf("Left in %s: %s.", printable(d.where), what))
	if len(sum.Left) > 0 {
		lines = append(lines, "To work the jobs: "+e.again(d, "--jobs 0"))
	}
	return lines
}
