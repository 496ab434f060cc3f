package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool/connect"
	"github.com/spoolq/spool/sqldb"
	"github.com/spoolq/spool/sqldb/schema"
)

// tableKind is a command that prints one sort of table.
type tableKind struct {
	use, alias, what string
	file             string // create_…_table
	names            []func(*schema.Names) *string
}

func tableKinds() []tableKind {
	jobs := func(n *schema.Names) *string { return &n.Jobs }
	failed := func(n *schema.Names) *string { return &n.FailedJobs }
	batches := func(n *schema.Names) *string { return &n.JobBatches }
	ends := func(n *schema.Names) *string { return &n.BatchEnds }
	callbacks := func(n *schema.Names) *string { return &n.BatchCallbacks }
	values := func(n *schema.Names) *string { return &n.Cache }
	locks := func(n *schema.Names) *string { return &n.CacheLocks }
	type names = []func(*schema.Names) *string
	return []tableKind{
		{"queue:table", "make:queue-table", "jobs", "jobs", names{jobs}},
		{"queue:failed-table", "make:queue-failed-table", "failed jobs", "failed", names{failed}},
		{"queue:batches-table", "make:queue-batches-table", "batches", "batches", names{batches, ends, callbacks}},
		{"cache:table", "make:cache-table", "the cache and its locks", "cache", names{values, locks}},
	}
}

// tableCommand is queue:table and its sisters.
func tableCommand(e *env, k tableKind) *cobra.Command {
	var dialect, path string
	cmd := &cobra.Command{
		Use:     k.use + " [connection]",
		Aliases: []string{k.alias},
		Short:   "Print the SQL of the table of " + k.what + ", or write a migration",
		Long: "Print the SQL that creates the table of " + k.what + `, for the database where the settings
keep it, or write it to a file for a migration tool. ` + e.name() + ` migrate creates it at once.`,
		Args:              oneConnection(),
		ValidArgsFunction: e.completeConnection,
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.table(cmd.Context(), k, first(args), dialect, path)
		},
	}
	cmd.Flags().StringVar(&dialect, "dialect", "", "`DIALECT` of the SQL: sqlite, mysql, mariadb or pgsql (default: that of the database)")
	cmd.Flags().StringVar(&path, "path", "", "write to this `FILE`, or to a new file in this folder")
	return cmd
}

// dialects are the SQL dialects by the names of their drivers.
func dialects() map[string]*sqldb.Dialect {
	my, pg := sqldb.NewMySQL(), sqldb.NewPostgres()
	return map[string]*sqldb.Dialect{
		"sqlite": sqldb.NewSQLite(), "mysql": my, "mariadb": my, "pgsql": pg, "postgres": pg, "postgresql": pg,
	}
}

func (e *env) table(ctx context.Context, k tableKind, connection, dialect, path string) error {
	set, err := e.open(ctx)
	if err != nil {
		return err
	}
	if err := e.known(connection); err != nil {
		return err
	}
	if connection == "" {
		connection = set.Config.Default
	}
	names, database := k.chosen(set, connection)
	if dialect == "" && database != "" {
		dialect = set.Config.Databases[database].Driver
	}
	d := dialects()[strings.ToLower(dialect)]
	switch {
	case dialect == "":
		return usagef("the settings keep %s in no database: name a connection that does, or give --dialect", k.what)
	case d == nil:
		return usagef("--dialect %q: want sqlite, mysql, mariadb or pgsql", dialect)
	}
	version := set.Config.Laravel.Major
	if version > 0 {
		version = min(max(version, 8), schema.Newest)
	}
	text, err := schema.Script(d, names, version)
	if err != nil {
		return err
	}
	if path == "" {
		_, err := fmt.Fprint(e.io.Out, text)
		return err
	}
	return e.writeMigration(path, k, d.Name, text)
}

// chosen returns the tables of the kind as the settings name them, and their
// database, "" if the settings keep none.
func (k tableKind) chosen(set *connect.Set, connection string) (names schema.Names, database string) {
	stock := schema.DefaultNames()
	for _, name := range k.names {
		*name(&names) = *name(&stock)
		for _, t := range set.Tables(connection) {
			if own := *name(&t.Names); own != "" {
				*name(&names), database = own, t.Database
			}
		}
	}
	return names, database
}

// writeMigration writes a new file. A folder gets one file of a kind and
// dialect.
func (e *env) writeMigration(path string, k tableKind, dialect, text string) error {
	path = e.path(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		name := "_create_" + k.file + "_table." + dialect + ".sql"
		there, err := filepath.Glob(filepath.Join(path, "*"+name))
		if err != nil {
			return err
		}
		if len(there) > 0 {
			slices.Sort(there)
			return fmt.Errorf("%s exists: remove it first, or name another file", there[0])
		}
		path = filepath.Join(path, time.Now().UTC().Format("20060102150405")+name)
	}
	if err := writeNew(path, []byte(text), false); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: remove it first, or name another file", path)
	} else if err != nil {
		return err
	}
	e.say("Wrote %s.", printable(path))
	return nil
}

// path is a path of the command line, relative to its working directory.
func (e *env) path(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(e.io.Dir, path)
}

// writeNew writes a file that must not exist (else the error is fs.ErrExist),
// unless force is set.
func writeNew(path string, text []byte, force bool) error {
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(path, mode, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
