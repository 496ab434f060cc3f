package laravel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
)

// databaseFile is the application's SQLite database in its folder.
const databaseFile = "database/database.sqlite"

// installation are the files that every application starts with, made once by
// Laravel's own commands: the migrations, and an SQLite database on which they
// have run.
var installation = sync.OnceValues(func() (fs.FS, error) {
	dir, err := os.MkdirTemp("", "spool-interop-laravel-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.Mkdir(filepath.Join(dir, "database"), 0o700); err != nil {
		return nil, err
	}
	database := filepath.Join(dir, databaseFile)
	settings := dotenv(map[string]string{"APP_NAME": "Interop", "DB_CONNECTION": "sqlite", "DB_DATABASE": database})
	for path, text := range map[string]string{database: "", filepath.Join(dir, ".env"): settings} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command("php", filepath.Join("app", "install.php"))
	cmd.Env = append(os.Environ(), "INTEROP_RUN="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("php install.php: %w\n%s", err, out)
	}
	made := fstest.MapFS{}
	keep := func(path string) error {
		b, err := os.ReadFile(filepath.Join(dir, path))
		made[filepath.ToSlash(path)] = &fstest.MapFile{Data: b, Mode: 0o600}
		return err
	}
	migrations, err := filepath.Glob(filepath.Join(dir, "database", "migrations", "*.php"))
	for _, path := range append(migrations, database) {
		rel, relErr := filepath.Rel(dir, path)
		if relErr != nil {
			return nil, relErr
		}
		if err := keep(rel); err != nil {
			return nil, err
		}
	}
	return made, err
})

// compiledOnce are PHP's settings to keep the framework's files compiled, which
// is a third of the time that an artisan takes to start.
var compiledOnce = sync.OnceValue(func() []string {
	dir, err := os.UserCacheDir()
	if err == nil {
		dir = filepath.Join(dir, "spool-interop-laravel")
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil // it only takes longer
	}
	return []string{"-d", "opcache.enable_cli=1", "-d", "opcache.file_cache=" + dir, "-d", "opcache.file_cache_only=1"}
})

// missingOfPHP are the extensions and files of all backends that this machine
// doesn't have.
var missingOfPHP = sync.OnceValues(func() (map[string]bool, error) {
	const script = `
		$missing = (object) [];
		foreach (array_slice($argv, 1) as $e) {
			if (!(str_ends_with($e, ".php") ? stream_resolve_include_path($e) : extension_loaded($e))) { $missing->$e = true; }
		}
		echo json_encode($missing);`
	args := []string{"-r", script, "--", frameworkFile}
	for _, b := range backends() {
		args = append(args, b.extensions...)
	}
	var stderr bytes.Buffer
	cmd := exec.Command("php", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("php: %w: %s", err, stderr.String())
	}
	var missing map[string]bool
	return missing, json.Unmarshal(out, &missing)
})

// frameworkFile is of php-laravel-framework.
const frameworkFile = "Illuminate/autoload.php"

// requirePHP returns the path of php. Without it, the framework or an
// extension the test is skipped, or fails where nothing may be skipped.
func requirePHP(t *testing.T, extensions []string) string {
	t.Helper()
	absent := func(what string) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", what)
		}
		t.Skipf("%s is not installed (make test installs what is missing on Debian as root)", what)
	}
	php, err := exec.LookPath("php")
	if err != nil {
		absent("php")
	}
	missing, err := missingOfPHP()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range append([]string{frameworkFile}, extensions...) {
		if missing[e] {
			absent("of PHP, " + e)
		}
	}
	return php
}
