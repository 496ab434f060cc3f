package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// The SDKs that somebody who doesn't use that backend must not carry.
var (
	redisSDK    = []string{"github.com/redis/..."}
	postgresSDK = []string{"github.com/jackc/..."}
	mysqlSDK    = []string{"github.com/go-sql-driver/..."}
	sqliteSDK   = []string{"modernc.org/..."}
	awsSDK      = []string{"github.com/aws/..."}
	cliSDK      = []string{"github.com/spf13/..."}
)

var (
	drivers = []string{
		"memqueue", "nullqueue", "syncqueue", "backgroundqueue", "sqlqueue", "redisqueue", "beanstalkqueue", "sqsqueue",
	}
	formats = []string{"laravel/...", "think/..."}
	// openers know an SDK: they open what a driver works on.
	openers = []string{"sqldb/sqlite", "sqldb/mysql", "sqldb/postgres", "redisdb"}
	// tools are for tests, and no part of a user's program.
	tools = []string{
		"testing/...", "github.com/google/go-cmp/...", "go.uber.org/goleak/...", "github.com/rogpeppe/...",
		module + "/internal/testserver",
	}
)

// rule says what packages must not depend on.
type rule struct {
	packages []string // patterns below the module
	never    []string // patterns of import paths
	only     []string // instead of never: everything but the standard library and these is forbidden
	direct   bool     // looks at the package's own imports only
	except   []string // packages below the module that the rule spares
	why      string
}

var rules = []rule{
	{
		packages: []string{"driver"}, only: []string{},
		why: "the seam is what third parties build on: it must bring nothing with it",
	},
	{
		packages: drivers, never: ours(".", "worker", "config", "connect", "cli", "failed", "laravel/...", "think/..."),
		why: "a driver stores bytes; what they mean and what is done about a failure is decided above it",
	},
	{
		packages: drivers, never: ours(drivers...),
		why: "a driver that leans on another can't be left out, or be replaced",
	},
	{
		packages: formats, never: append(ours(append(drivers, openers...)...), sdks()...),
		why: "a payload is the same on every store",
	},
	{
		packages: []string{".", "worker"}, only: append(ours("driver", "internal/...", ".", "presence", "failed", "cache", "sqldb", "sqldb/schema"), "golang.org/x/sync/..."),
		why: "whoever dispatches or works jobs carries the SDK of the store that he uses, and no other; a format or a store is an argument",
	},
	{
		packages: []string{"driver/...", "sqldb", "sqldb/schema", "sqlqueue", "memqueue", "nullqueue", "syncqueue", "backgroundqueue", "failed", "cache", "limit", "schedule"}, never: sdks(),
		why: "these work on any database/sql pool, or on none: the SDK is the opener's",
	},
	{
		packages: []string{"sqldb/postgres"}, never: slices.Concat(redisSDK, mysqlSDK, sqliteSDK, awsSDK, cliSDK),
		why: "a PostgreSQL user links no other database",
	},
	{
		packages: []string{"sqldb/mysql"}, never: slices.Concat(redisSDK, postgresSDK, sqliteSDK, awsSDK, cliSDK),
		why: "a MySQL user links no other database",
	},
	{
		packages: []string{"sqldb/sqlite"}, never: slices.Concat(redisSDK, postgresSDK, mysqlSDK, awsSDK, cliSDK),
		why: "an SQLite user links no other database",
	},
	{
		packages: []string{"redisdb", "redisqueue", "cache/rediscache", "limit/redislimit"}, never: slices.Concat(postgresSDK, mysqlSDK, sqliteSDK, awsSDK, cliSDK),
		why: "a Redis user links no SQL database",
	},
	{
		packages: []string{"beanstalkqueue"}, only: ours("driver"),
		why: "it speaks the protocol itself",
	},
	{
		packages: []string{"sqsqueue"}, never: slices.Concat(redisSDK, postgresSDK, mysqlSDK, sqliteSDK, cliSDK),
		why: "an SQS user links no database",
	},
	{
		packages: []string{"..."}, never: awsSDK, direct: true, except: []string{"sqsqueue"},
		why: "the AWS SDK is the largest of all: who doesn't use SQS must not carry it, and connect carries it by way of the driver alone",
	},
	{
		packages: []string{"spooltest"}, never: sdks(),
		why: "tests of jobs need no server, and no SDK",
	},
	{
		packages: []string{"config"}, never: append(ours(append(drivers, openers...)...), sdks()...),
		why: "config yields plain values; connect is the one place that opens them",
	},
	{
		packages: []string{"..."}, never: ours(append(drivers, openers...)...), direct: true,
		except: append(slices.Concat(drivers, openers), "connect", "cache/rediscache", "driver/drivertest", "spooltest", "examples/...", "internal/..."),
		why:    "connect is the only place that lists the drivers; the suite has memqueue as its model, the test kit as its store",
	},
	{
		packages: []string{"..."}, never: tools,
		except: []string{"driver/drivertest", "cache/cachetest", "batch/batchtest", "spooltest", "internal/doctest", "internal/testserver", "internal/cmd/testrun"},
		why:    "what tests need has no place in a user's program",
	},
	{
		packages: []string{"examples/filequeue"}, only: ours("driver"),
		why: "it shows that a driver needs nothing but the public seam",
	},
	{
		packages: []string{"examples/..."}, never: ours("internal/..."), direct: true,
		why: "an example uses what a reader can use",
	},
	{
		packages: []string{"..."}, never: ours("cmd/...", "examples/..."), except: []string{"examples/filequeue/shop"},
		why: "programs are the top of the house",
	},
}

// ours turns patterns below the module into import paths.
func ours(patterns ...string) []string {
	paths := make([]string, len(patterns))
	for i, p := range patterns {
		paths[i] = path.Join(module, p)
	}
	return paths
}

func sdks() []string {
	return slices.Concat(redisSDK, postgresSDK, mysqlSDK, sqliteSDK, awsSDK, cliSDK)
}

// matches says whether name fits one of the patterns, where "x/..." means x
// and what is below it.
func matches(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if p == "..." {
			return true
		}
		above, deep := strings.CutSuffix(p, "/...")
		return name == above || deep && strings.HasPrefix(name, above+"/")
	})
}

// broken returns the imports of p that the rule forbids.
func (r rule) broken(p *pkg, standard map[string]bool) []string {
	imports := p.deps
	if r.direct {
		imports = p.imports
	}
	var bad []string
	for _, name := range imports {
		forbidden := matches(name, r.never)
		if r.only != nil {
			forbidden = !standard[name] && !matches(name, r.only)
		}
		if forbidden && name != path.Join(module, p.path) {
			bad = append(bad, name)
		}
	}
	return bad
}

func TestImports(t *testing.T) {
	repo := loaded(t)
	for i, r := range rules {
		var found int
		for _, p := range repo.packages {
			if !matches(p.path, r.packages) || matches(p.path, r.except) {
				continue
			}
			found++
			for _, name := range r.broken(p, repo.standard) {
				t.Errorf("package %s must not depend on %s: %s", p.path, name, r.why)
			}
		}
		if found == 0 {
			t.Logf("rule %d applies to nothing yet: %s", i+1, fmt.Sprint(r.packages))
		}
	}
}

// A rule that can't fail protects nothing.
func TestImportRulesBite(t *testing.T) {
	standard := map[string]bool{"fmt": true}
	for name, c := range map[string]struct {
		r    rule
		p    pkg
		want []string
	}{
		"never":            {rule{never: redisSDK}, pkg{path: "a", deps: []string{"fmt", "github.com/redis/rueidis"}}, []string{"github.com/redis/rueidis"}},
		"deep":             {rule{never: ours("laravel/...")}, pkg{path: "a", deps: ours("laravel", "laravel/phpserial", "laravelx")}, ours("laravel", "laravel/phpserial")},
		"root":             {rule{never: ours(".")}, pkg{path: "memqueue", deps: ours(".", "driver")}, ours(".")},
		"only":             {rule{only: ours("driver")}, pkg{path: "a", deps: append(ours("driver", "cli"), "fmt")}, ours("cli")},
		"only, nothing":    {rule{only: []string{}}, pkg{path: "driver", deps: []string{"fmt", "x.org/y"}}, []string{"x.org/y"}},
		"itself is spared": {rule{never: ours(drivers...)}, pkg{path: "memqueue", deps: ours("memqueue")}, nil},
		"direct":           {rule{never: sqliteSDK, direct: true}, pkg{path: "a", imports: []string{"fmt"}, deps: []string{"modernc.org/sqlite"}}, nil},
	} {
		if got := c.r.broken(&c.p, standard); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
