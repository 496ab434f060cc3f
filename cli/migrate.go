package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/schema"
)

// migrateOptions are the flags of migrate.
type migrateOptions struct {
	pretend, notify, json bool
}

// migrateCommand is migrate.
func migrateCommand(e *env) *cobra.Command {
	var o migrateOptions
	cmd := &cobra.Command{
		Use:   "migrate [connection...]",
		Short: "Create the tables that the settings use",
		Long: `Create what is missing of the tables for jobs, failed jobs, batches and the cache, in
the databases where the settings keep them, for the named connections (default: the default
one and those that the settings name). Tables are Laravel's; a jobs table also gets the
indexes that reserving needs, and a table of its workers beside it. Nothing that exists is changed; it may run at any time.`,
		ValidArgsFunction: e.completeConnections,
		RunE: func(cmd *cobra.Command, names []string) error {
			return e.migrate(cmd.Context(), names, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.pretend, "pretend", false, "print the SQL instead of running it")
	f.BoolVar(&o.notify, "notify-trigger", false, "PostgreSQL: also have inserts by others, PHP's, wake waiting workers")
	f.BoolVar(&o.json, "json", false, "print one JSON object for each table")
	f.Bool("force", false, "no effect: nothing that exists is changed")
	_ = f.MarkHidden("force")
	return cmd
}

func (e *env) migrate(ctx context.Context, names []string, o migrateOptions) error {
	if o.pretend && o.json {
		return usagef("--pretend prints SQL, so it can't be given with --json")
	}
	set, err := e.open(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := e.known(name); err != nil {
			return err
		}
		if !e.configured(name) {
			return usagef("connection %s is not in the settings: its tables, if it has any, are the application's own", name)
		}
	}
	tables := set.Tables(names...)
	if o.notify && !slices.ContainsFunc(tables, func(t connect.Table) bool {
		return t.Names.Jobs != "" && set.Config.Databases[t.Database].Driver == "pgsql"
	}) {
		return usagef("--notify-trigger is for jobs in PostgreSQL, and these settings keep none there; name a connection that does")
	}
	if len(tables) == 0 {
		e.note("Nothing to create: these settings keep nothing in a database.")
	}
	for _, t := range tables {
		db, err := set.Database(ctx, t.Database)
		if err != nil {
			return err
		}
		if o.pretend {
			err = e.pretend(ctx, db, t, o.notify)
		} else {
			err = e.create(ctx, db, t, o)
		}
		if err != nil {
			return fmt.Errorf("database %s: %w", t.Database, err)
		}
	}
	return nil
}

// migrated is a line of migrate --json.
type migrated struct {
	Database string `json:"database"`
	Table    string `json:"table"`
	Done     bool   `json:"done"`
	What     string `json:"what"`
}

// create makes one table and says so.
func (e *env) create(ctx context.Context, db *sqldb.DB, t connect.Table, o migrateOptions) error {
	steps, err := schema.Create(ctx, db, t.Names)
	for i := range steps {
		if t.Names.Jobs != "" && steps[i].What == "created" {
			steps[i].What += ", with the indexes " + strings.Join(schema.IndexNames(db.Dialect(), t.Names.Jobs), ", ")
		}
	}
	if err == nil && o.notify && t.Names.Jobs != "" && db.Dialect().Name == sqldb.Postgres {
		if err = addTrigger(ctx, db, t.Names.Jobs); err == nil {
			steps = append(steps, schema.Step{Table: t.Names.Jobs, Done: true, What: "set the notify trigger"})
		}
	}
	for _, s := range steps {
		if o.json {
			if err := e.object(migrated{t.Database, s.Table, s.Done, s.What}); err != nil {
				return err
			}
		} else if !e.quiet {
			e.say("  %s: %s %s %s", t.Database, s.Table, dots(t.Database+s.Table, s.What), s.What)
		}
	}
	return err
}

// addTrigger sets the trigger of inserts; an older one is replaced.
func addTrigger(ctx context.Context, db *sqldb.DB, jobs string) error {
	stmts, err := schema.NotifyTrigger(db.Dialect(), jobs)
	if err != nil {
		return err
	}
	tx, err := db.SQL().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // without effect after the commit
	for _, s := range stmts {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("notify trigger: %w", err)
		}
	}
	return tx.Commit()
}

// pretend prints the SQL of what is missing.
func (e *env) pretend(ctx context.Context, db *sqldb.DB, t connect.Table, notify bool) error {
	missing, err := schema.Missing(ctx, db, t.Names)
	if err != nil {
		return err
	}
	d := db.Dialect()
	var stmts []string
	if slices.Contains(missing, t.Name()) {
		if stmts, err = schema.Statements(d, t.Names, schema.Newest); err != nil {
			return err
		}
	} else if len(missing) > 0 {
		all, err := schema.Index(d, t.Names.Jobs)
		if err != nil {
			return err
		}
		for i, name := range schema.IndexNames(d, t.Names.Jobs) {
			if slices.ContainsFunc(missing, func(m string) bool { return strings.HasSuffix(m, "(index "+name+")") }) {
				stmts = append(stmts, all[i])
			}
		}
	}
	if notify && t.Names.Jobs != "" && d.Name == sqldb.Postgres {
		more, err := schema.NotifyTrigger(d, t.Names.Jobs)
		if err != nil {
			return err
		}
		stmts = append(stmts, more...)
	}
	if len(stmts) > 0 {
		e.say("-- database %s\n%s;\n", t.Database, strings.Join(stmts, ";\n\n"))
	}
	return nil
}
