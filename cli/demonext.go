package cli

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spoolq/spool/config"
	"github.com/spoolq/spool/demo"
)

// nextCommands are the three commands to try after a demo. They work as they
// stand, in this folder.
func (e *env) nextCommands(d *demoStore, sum *demo.Summary) []string {
	p := e.program()
	switch {
	case d.dir != "": // nothing is kept: begin with that
		file, prefix := e.freshFile()
		return explained(
			p+" demo --keep "+file, "the same in a file that stays",
			prefix+p+" queue:failed", "the job that failed for good",
			prefix+p+" queue:retry all", "put it back on its queue",
		)
	case len(sum.FailedJobs) == 0 || sum.Driver == "memory":
		return explained(
			e.again(d, "--jobs 5000"), "more of them",
			e.again(d, "--jobs 100000 --json"), "many more, for a machine to read",
			p+" --help", "everything else",
		)
	}
	prefix := ""
	if d.file != "" {
		prefix = e.variables(d.file, d.o.keep)
	} else {
		p += e.globals()
	}
	return explained(
		prefix+p+" queue:failed --queue "+demo.High, "the job that failed for good",
		prefix+p+" queue:retry "+sum.FailedJobs[0], "put it back on its queue",
		e.again(d, "--jobs 0"), "work it: the customer has paid meanwhile",
	)
}

// explained puts what a command is for before it.
func explained(pairs ...string) []string {
	var lines []string
	for i := 0; i < len(pairs); i += 2 {
		lines = append(lines, "# "+pairs[i+1], pairs[i])
	}
	return lines
}

// again is the command that runs the demo on the same store.
func (e *env) again(d *demoStore, flags string) string {
	switch p := e.program(); {
	case d.o.connection != "":
		return p + e.globals() + " demo --connection " + quoted(d.o.connection) + " " + flags
	case d.o.keep != "":
		return p + " demo --keep " + quoted(d.o.keep) + " " + flags
	default:
		return p + " demo " + flags
	}
}

// globals are the global flags that say which settings are in force.
func (e *env) globals() string {
	text := ""
	for _, f := range [][2]string{{"--config", e.configFile}, {"--env-file", e.envFile}, {"--laravel", e.laravel}} {
		if f[1] != "" {
			text += " " + f[0] + " " + quoted(f[1])
		}
	}
	return text
}

// program is how this program is called.
func (e *env) program() string {
	info, ok := debug.ReadBuildInfo()
	if exe := os.Args[0]; !ok || strings.HasSuffix(info.Path, ".test") {
		return e.name()
	} else if !strings.Contains(filepath.ToSlash(exe), "/go-build") {
		return quoted(exe)
	}
	below := strings.TrimPrefix(info.Path, info.Main.Path)
	if _, err := os.Stat(filepath.Join(".", filepath.FromSlash(below), "main.go")); err == nil && below != "" {
		return "go run ." + below
	}
	return "go run " + info.Path
}

// freshFile is a file for --keep that doesn't exist yet, and what to put
// before commands that are to look into it.
func (e *env) freshFile() (file, prefix string) {
	for _, file = range []string{"spool.db", "demo.db", "spool-demo.db"} {
		abs, err := filepath.Abs(filepath.Join(e.io.Dir, file))
		if _, stat := os.Lstat(abs); err == nil && os.IsNotExist(stat) {
			return file, e.variables(abs, file)
		}
	}
	return file, e.variables(file, file)
}

// variables sets the variables by which the settings of this folder lead to a
// SQLite file: none, where they do so anyway.
func (e *env) variables(file, typed string) string {
	database := "DB_DATABASE="
	tries := [][]string{
		nil, {database + typed}, {database + file},
		{"QUEUE_CONNECTION=database", "DB_CONNECTION=sqlite", database + file},
	}
	i := slices.IndexFunc(tries, func(vars []string) bool { return e.leadsTo(file, vars) })
	if i < 0 {
		i = len(tries) - 1
	}
	text := ""
	for _, v := range tries[i] {
		name, value, _ := strings.Cut(v, "=")
		if runtime.GOOS == "windows" {
			text += "$env:" + name + "='" + value + "'; "
		} else {
			text += name + "=" + quoted(value) + " "
		}
	}
	return text
}

// leadsTo says whether queue and failed jobs of the settings, with further
// variables, are in this file.
func (e *env) leadsTo(file string, vars []string) bool {
	cfg, err := config.Load(&config.Options{Dir: e.io.Dir, Environ: append(slices.Clone(e.io.Env), vars...)})
	if err != nil {
		return false
	}
	c := cfg.Connections["database"]
	if c == nil || c.Driver != "database" || cfg.Failed.Driver != "database-uuids" {
		return false
	}
	for _, name := range []string{c.Connection, cfg.Failed.Database} {
		db := cfg.Databases[cmp.Or(name, cfg.DefaultDatabase)]
		if db == nil || db.Driver != "sqlite" || db.Database != file || db.Prefix != "" {
			return false
		}
	}
	return true
}

var safeWord = regexp.MustCompile(`^[\w./:@%+=,\\-]+$`)

// quoted makes one word of a text for a shell.
func quoted(s string) string {
	if safeWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
