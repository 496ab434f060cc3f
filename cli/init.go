package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/connect"
)

// initOptions are the flags of init.
type initOptions struct {
	laravel, output, php string
	force                bool
}

// initCommand is init.
func initCommand(e *env) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a spool.yaml",
		Long: `Write a spool.yaml to begin with. With --from-laravel it holds the settings of a Laravel
application, which is asked for them where PHP is at hand, else read from its .env
and composer.lock; what was assumed is told. Secrets stay in the environment.`,
		Args: arguments(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.laravel != "" {
				return e.fromLaravel(cmd.Context(), o)
			}
			return e.starter(o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.laravel, "from-laravel", "", "`FOLDER` of a Laravel application")
	f.StringVar(&o.output, "output", "", "write to this `FILE` (default: spool.yaml here, or in the application's folder)")
	f.StringVar(&o.php, "php", "", "`PROGRAM` that runs PHP (default: php; -: don't run it)")
	f.BoolVar(&o.force, "force", false, "overwrite the file")
	return cmd
}

// starterText is a spool.yaml for the embedded default.
const starterText = `# Settings of Spool: spool config prints what is in force, spool check looks
# whether it can work. Keys are those of Laravel's config/queue.php.

queue:
  default: database
  connections:
    database:
      driver: database # jobs in the SQLite file below
      retry_after: 90 # seconds after which the job of a dead worker is tried again

database:
  default: sqlite
  connections:
    sqlite:
      driver: sqlite
      database: spool.db

# What runs the jobs of some names: a command, a line for the shell, or a URL.
# An application that embeds Spool has its own handlers and needs none here.
jobs:
  - name: hello.*
    shell: echo "hello, $SPOOL_JOB_DATA" | tee -a hello.txt # work -v shows what a job prints
    tries: 3
    backoff: [1, 5, 10]
`

func (e *env) starter(o initOptions) error {
	path := e.path("spool.yaml")
	if o.output != "" {
		path = e.path(o.output)
	}
	if err := e.writeSettings(path, []byte(starterText), o); err != nil {
		return err
	}
	e.say("Wrote %s.", printable(path))
	e.note("Next: %[1]s migrate, then %[1]s push hello.world --data '{\"name\":\"Ann\"}', then %[1]s work -v.", e.name())
	return nil
}

// writeSettings writes a spool.yaml, over another one only with --force.
func (e *env) writeSettings(path string, text []byte, o initOptions) error {
	err := writeNew(path, text, o.force)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: --force overwrites it, --output FILE writes another", path)
	}
	return err
}

// fromLaravel writes the settings of an application.
func (e *env) fromLaravel(ctx context.Context, o initOptions) error {
	dir := e.path(o.laravel)
	found, err := config.FromLaravel(ctx, dir, &config.LaravelOptions{
		PHP: o.php, Environ: e.io.Env, EnvFile: e.envFile, Stderr: e.io.Err,
		HasKeys: func(cfg *config.Config, prefix string) bool { return e.hasKeys(ctx, cfg, prefix) },
	})
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "spool.yaml")
	if o.output != "" {
		path = e.path(o.output)
	}
	if err := e.writeSettings(path, found.YAML, o); err != nil {
		return err
	}
	e.say("Wrote %s.", printable(path))
	for _, n := range found.Notes {
		e.note("- %s", n)
	}
	e.note("Next: %s check --config %s", e.name(), path)
	return nil
}

// hasKeys looks whether queues are kept under a prefix.
func (e *env) hasKeys(ctx context.Context, cfg *config.Config, prefix string) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	found, err := connect.HasQueues(ctx, cfg, prefix)
	if err != nil {
		e.note("Redis could not be asked which prefix has keys: %v", err)
	}
	return found
}
