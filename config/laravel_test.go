package config

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// laravelApp makes an application of its own from testdata.
func laravelApp(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := write(t, files)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "laravel-app"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

const appEnv = `APP_NAME=Factory
APP_ENV=production
APP_KEY=base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
DB_HOST=db.example
DB_USERNAME=factory
DB_PASSWORD='db$secret'
CACHE_DRIVER=redis
QUEUE_CONNECTION=redis
REDIS_HOST=redis.example
REDIS_PASSWORD=redis-secret
JOBS_REDIS_URL=redis://:jobs-secret@jobs.example:6390/5
JOB_LEASE=600
`

var secrets = []string{"AAECAwQF", "db$secret", "redis-secret", "jobs-secret", "only-in-the-file"}

func tellsNoSecret(t *testing.T, where, s string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(s, secret) {
			t.Errorf("%s tells %s", where, secret)
		}
	}
}

func TestFromLaravel_asks_the_application(t *testing.T) {
	needPHP(t, "/usr/share/php/Illuminate/autoload.php")
	dir := laravelApp(t, map[string]string{".env": appEnv})
	var stderr bytes.Buffer
	got, err := FromLaravel(t.Context(), dir, &LaravelOptions{Stderr: &stderr})
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if !got.Asked {
		t.Fatalf("not asked: %q\n%s", got.Notes, stderr.String())
	}
	yaml := strings.ReplaceAll(string(got.YAML), dir, "DIR")
	golden(t, "from-laravel.yaml", yaml)
	golden(t, "from-laravel.txt", explained(got.Config, dir, "worker."))
	if strings.Contains(yaml, "    beanstalkd:") || !strings.Contains(yaml, "    stalk:") {
		t.Errorf("the file names what every application has, or not what this one has besides:\n%s", yaml)
	}
	tellsNoSecret(t, "spool.yaml", yaml)
	tellsNoSecret(t, "a note", strings.Join(got.Notes, "\n"))
	r := got.Config.Redis["queue"]
	if r.Host != "jobs.example" || r.Port != 6390 || r.Database != 5 || r.Password != "jobs-secret" || r.Prefix != "factory:" {
		t.Errorf("the queue's Redis is %+v", r)
	}
	if q := got.Config.Connections["reports"]; *q.RetryAfter != time.Minute || q.BlockFor != nil {
		t.Errorf("reports is %+v", q)
	}
	if got.Config.Connections["database"].RetryAfter != nil {
		t.Error("retry_after null is lost")
	}

	// What was written reads back as the same settings, once the variable that
	// the notes ask for is set.
	if err := os.WriteFile(filepath.Join(dir, "spool.yaml"), got.YAML, 0o600); err != nil {
		t.Fatal(err)
	}
	again := load(t, dir, &Options{Environ: []string{"DATABASE_CONNECTIONS_PGSQL_PASSWORD=only-in-the-file"}})
	for _, key := range got.Config.order {
		a, b := got.Config.values[key], again.values[key]
		if b.n == nil || show(a.n, "") != show(b.n, "") {
			t.Errorf("%s was %s, is %+v", key, show(a.n, a.secret), b.n)
		}
	}
}

func TestFromLaravel_sees_variables_that_mean_something_else(t *testing.T) {
	needPHP(t, "/usr/share/php/Illuminate/autoload.php")
	// The application's default Redis comes from other variables than REDIS_HOST,
	// which is set for something else.
	dir := laravelApp(t, map[string]string{".env": strings.Replace(appEnv, "DB_PASSWORD", "REDIS_QUEUE_RETRY_AFTER=5\nDB_PASSWORD", 1)})
	got, err := FromLaravel(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Asked || got.Config.StockEnv || !strings.Contains(string(got.YAML), "stock_env: false") ||
		!strings.Contains(strings.Join(got.Notes, "\n"), "REDIS_QUEUE_RETRY_AFTER") {
		t.Fatalf("asked %v, notes %q\n%s", got.Asked, got.Notes, got.YAML)
	}
	if err := os.WriteFile(filepath.Join(dir, "spool.yaml"), got.YAML, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := load(t, dir, &Options{Environ: []string{"DATABASE_CONNECTIONS_PGSQL_PASSWORD=x"}})
	if d := *cfg.Connections["redis"].RetryAfter; d != 10*time.Minute {
		t.Errorf("retry_after %v", d)
	}
}

func TestFromLaravel_without_PHP(t *testing.T) {
	stock := "APP_NAME=\"Order Desk\"\nAPP_KEY=base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nQUEUE_CONNECTION=redis\nCACHE_STORE=redis\nDB_CONNECTION=mysql\nDB_PASSWORD='db$secret'\nREDIS_PASSWORD=redis-secret\n"
	tests := []struct {
		name   string
		has    func(*Config, string) bool
		prefix string
		note   string
	}{
		{"nobody looks", nil, "order_desk_database_", "the first is assumed"},
		{"keys under the stock prefix", func(_ *Config, p string) bool { return p == "order_desk_database_" }, "order_desk_database_", "keys of queues were found under it"},
		{"keys under the other prefix", func(c *Config, p string) bool {
			return p == "order-desk-database-" && c.Redis["default"].Password == "redis-secret"
		}, "order-desk-database-", "none under the stock"},
		{"no keys at all", func(*Config, string) bool { return false }, "order_desk_database_", "neither has keys"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := write(t, map[string]string{".env": stock, "composer.lock": lockFile("v12.20.0")})
			got, err := FromLaravel(t.Context(), dir, &LaravelOptions{PHP: "-", HasKeys: tt.has})
			if err != nil {
				t.Fatal(err)
			}
			if p := got.Config.Redis["default"].Prefix; p != tt.prefix {
				t.Errorf("prefix %q, want %q", p, tt.prefix)
			}
			if notes := strings.Join(got.Notes, "\n"); !strings.Contains(notes, tt.note) || got.Asked {
				t.Errorf("asked %v, notes %q", got.Asked, notes)
			}
			tellsNoSecret(t, "spool.yaml", string(got.YAML))
			if tt.has == nil {
				golden(t, "from-env.yaml", strings.ReplaceAll(string(got.YAML), dir, "DIR"))
			}
			if err := os.WriteFile(filepath.Join(dir, "spool.yaml"), got.YAML, 0o600); err != nil {
				t.Fatal(err)
			}
			again := load(t, dir, nil)
			if again.Redis["default"].Prefix != tt.prefix || again.Databases["mysql"].Password != "db$secret" {
				t.Errorf("reads back as %+v", again.Redis["default"])
			}
		})
	}
}

func TestFromLaravel_fails_well(t *testing.T) {
	if _, err := FromLaravel(t.Context(), t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "no Laravel application in") {
		t.Errorf("error %v", err)
	}
	dir := write(t, map[string]string{".env": "PORT=1"})
	if _, err := FromLaravel(t.Context(), dir, &LaravelOptions{PHP: "no-such-php"}); err == nil || !strings.Contains(err.Error(), "no .env file of Laravel") {
		t.Errorf("error %v", err)
	}

	php := needPHP(t, "/usr/share/php/Illuminate/autoload.php")
	env := "APP_KEY=x\nQUEUE_CONNECTION=redis\nCACHE_STORE=redis\n"
	for name, tt := range map[string]struct{ bootstrap, note string }{
		"hangs":           {"<?php sleep(60);", "did not answer within 1 s"},
		"ends":            {"<?php exit(0);", "ended without an answer"},
		"breaks":          {"<?php throw new Exception('told on stderr');", "did not boot"},
		"returns nothing": {"<?php ", "did not boot"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{".env": env, "boot.php": tt.bootstrap})
			var stderr bytes.Buffer
			start := time.Now()
			got, err := FromLaravel(t.Context(), dir, &LaravelOptions{PHP: php, Bootstrap: "boot.php", Timeout: time.Second, Stderr: &stderr})
			if err != nil {
				t.Fatal(err)
			}
			if notes := strings.Join(got.Notes, "\n"); got.Asked || !strings.Contains(notes, tt.note) {
				t.Errorf("asked %v, notes %q", got.Asked, notes)
			}
			if name == "breaks" && !strings.Contains(stderr.String(), "told on stderr") {
				t.Errorf("stderr %q", stderr.String())
			}
			if time.Since(start) > 20*time.Second {
				t.Error("took too long")
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		dir := write(t, map[string]string{".env": env, "boot.php": "<?php sleep(60);"})
		if _, err := FromLaravel(ctx, dir, &LaravelOptions{PHP: php, Bootstrap: "boot.php"}); err == nil {
			t.Error("no error")
		}
	})
}

// TestFromLaravel_leaves_our_variables_alone: they are of who runs Spool, and
// hold beside the file.
func TestFromLaravel_leaves_our_variables_alone(t *testing.T) {
	ours := []string{"SPOOL_WORKER_TRIES=5", "SPOOL_WORKER_CONCURRENCY=3", "SPOOL_DEGRADE="}
	for _, php := range []string{"-", "php"} {
		if php == "php" {
			needPHP(t, "/usr/share/php/Illuminate/autoload.php")
		}
		dir := laravelApp(t, map[string]string{".env": appEnv, "composer.lock": `{"packages":[{"name":"laravel/framework","version":"v8.83.0"}]}`})
		with, err := FromLaravel(t.Context(), dir, &LaravelOptions{PHP: php, Environ: append(os.Environ(), ours...)})
		if err != nil {
			t.Fatal(err)
		}
		without, err := FromLaravel(t.Context(), dir, &LaravelOptions{PHP: php, Environ: os.Environ()})
		if err != nil {
			t.Fatal(err)
		}
		if string(with.YAML) != string(without.YAML) || with.Config.Worker.Tries == 5 {
			t.Errorf("PHP %s: the file depends on them:\n%s", php, with.YAML)
		}
		// In the application's .env they hold too, and are no reason to turn the
		// environment off.
		dir = laravelApp(t, map[string]string{".env": appEnv + "SPOOL_WORKER_TRIES=7\n", "composer.lock": `{"packages":[{"name":"laravel/framework","version":"v8.83.0"}]}`})
		got, err := FromLaravel(t.Context(), dir, &LaravelOptions{PHP: php, Environ: os.Environ()})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(got.YAML), "SPOOL_WORKER") || got.Config.StockEnv != without.Config.StockEnv {
			t.Errorf("PHP %s, in .env:\n%s", php, got.YAML)
		}
	}
}
