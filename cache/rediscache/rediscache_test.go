package rediscache_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"

	"github.com/spoolq/spool/cache/cachetest"
	"github.com/spoolq/spool/cache/rediscache"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/redisdb"
)

func TestMain(m *testing.M) { testserver.Main(m) }

func open(t *testing.T, addr string, db int) rueidis.Client {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	client, err := redisdb.Open(t.Context(), redisdb.Options{Host: host, Port: n, DB: db})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestStore(t *testing.T) {
	addr := testserver.Redis(t)
	cachetest.Run(t, func(t *testing.T) cachetest.Subject {
		return rediscache.New(open(t, addr, 0), &rediscache.Options{Prefix: "cache_" + rand.Text() + ":"})
	})
}

func TestStoreOnCluster(t *testing.T) {
	t.Parallel()
	cluster := testserver.NewRedisCluster(t)
	cachetest.Run(t, func(t *testing.T) cachetest.Subject {
		client, err := redisdb.Open(t.Context(), redisdb.Options{Cluster: cluster.Addrs()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		return rediscache.New(client, &rediscache.Options{Prefix: "cache_" + rand.Text() + ":"})
	})
}

func TestStoreWithLocksElsewhere(t *testing.T) {
	server := testserver.NewRedis(t)
	values, locks := open(t, server.Addr, 1), open(t, server.Addr, 0)
	s := rediscache.New(values, &rediscache.Options{Prefix: "a:", Locks: locks, LockPrefix: "b:"})
	if err := s.Put(t.Context(), "k", 1, 0); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.Acquire(t.Context(), "k", "me", 0); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for key, client := range map[string]rueidis.Client{"a:k": values, "b:k": locks} {
		names, err := client.Do(t.Context(), client.B().Keys().Pattern("*").Build()).AsStrSlice()
		if err != nil || len(names) != 1 || names[0] != key {
			t.Errorf("keys are %q, want %s: %v", names, key, err)
		}
	}
}

// What is stored is what Laravel's store writes.
func TestStoredBytes(t *testing.T) {
	client := open(t, testserver.NewRedis(t).Addr, 0)
	s := rediscache.New(client, nil)
	for key, tt := range map[string]struct {
		value any
		want  string
	}{
		"restart":  {int64(1795174284), "1795174284"},
		"negative": {-3, "-3"},
		"paused":   {true, "b:1;"},
		"false":    {false, "b:0;"},
		"text":     {"é", `s:2:"é";`},
		"empty":    {"", `s:0:"";`},
		"digits":   {"0123", "0123"},
		"decimal":  {"1.5", "1.5"},
		"spaced":   {" 12", `s:3:" 12";`},
		"infinite": {"1e999", `s:5:"1e999";`},
		"nearly":   {"12a", `s:3:"12a";`},
	} {
		if err := s.Put(t.Context(), key, tt.value, time.Minute); err != nil {
			t.Fatal(err)
		}
		got, err := client.Do(t.Context(), client.B().Get().Key(key).Build()).ToString()
		if err != nil || got != tt.want {
			t.Errorf("%v is stored as %q, want %q: %v", tt.value, got, tt.want, err)
		}
		if ttl, err := client.Do(t.Context(), client.B().Ttl().Key(key).Build()).ToInt64(); ttl < 58 || ttl > 60 {
			t.Errorf("%s lives for %d s: %v", key, ttl, err)
		}
	}
}

// laravel makes calls on Laravel's own store and returns the results.
func laravel(t *testing.T, addr string, calls ...[]any) []any {
	t.Helper()
	_, err := os.Stat("/usr/share/php/Illuminate/Cache/RedisStore.php")
	php, lookErr := exec.LookPath("php")
	if err != nil || lookErr != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no PHP with Laravel: apt-get install php-cli php-redis php-laravel-framework (%v, %v)", err, lookErr)
		}
		t.Skip("no PHP with Laravel here: apt-get install php-cli php-redis php-laravel-framework")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	in, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), php, "testdata/store.php", host, port, "laravel_database_", "laravel_cache")
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("php: %v\n%s%s", err, out, stderr.Bytes())
	}
	var results []any
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("php said %q: %v\n%s", out, err, stderr.Bytes())
	}
	return results
}

func TestSharedWithLaravel(t *testing.T) {
	addr := testserver.NewRedis(t).Addr
	ctx := t.Context()
	s := rediscache.New(open(t, addr, 0), &rediscache.Options{Prefix: "laravel_database_laravel_cache:", Locks: open(t, addr, 1)})
	must := func(ok bool, err error) {
		t.Helper()
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	must(true, s.Put(ctx, "restart", 1795174284, 0))
	must(true, s.Put(ctx, "paused", true, time.Minute))
	must(true, s.Put(ctx, "text", "中文 \"q\" 🚀", time.Minute))
	must(true, s.Put(ctx, "false", false, 0))
	_, err := s.Increment(ctx, "count", 5, time.Minute)
	must(true, err)
	must(s.Acquire(ctx, "mine", "go-owner", time.Minute))
	must(s.Acquire(ctx, "for ever", "go-owner", 0))

	got := laravel(t, addr,
		[]any{"get", "restart"}, []any{"get", "paused"}, []any{"get", "text"}, []any{"get", "false"},
		[]any{"get", "count"}, []any{"increment", "count", 2}, []any{"add", "count", 9, 60}, []any{"add", "added", "x", 60},
		[]any{"lock", "mine", 60, "php-owner"}, []any{"lock", "for ever", 60, "php-owner"}, []any{"lock", "theirs", 60, "php-owner"},
		[]any{"release", "mine", "php-owner"}, []any{"forever", "php:restart", 1795174285}, []any{"put", "php:true", true, 60},
		[]any{"put", "php:list", []int{1}, 60}, []any{"put", "php:float", 1.5, 60}, []any{"put", "php:text", "é", 60}, []any{"put", "php:null", nil, 60})
	want := []any{"1795174284", true, "中文 \"q\" 🚀", false, "5", 7.0, false, true, false, false, true, false, true, true, true, true, true, true}
	for i := range got { // the release script of Laravel 8 answers with a number
		if n, ok := got[i].(float64); ok && i == 11 {
			got[i] = n != 0
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Laravel sees (-want +got):\n%s", diff)
	}

	texts, err := s.Many(ctx, "count", "added", "php:restart", "php:true", "php:list", "php:float", "php:text", "php:null")
	must(true, err)
	if diff := cmp.Diff(map[string]string{
		"count": "7", "added": "x", "php:restart": "1795174285", "php:true": "1", "php:list": "a:1:{i:0;i:1;}", "php:float": "1.5", "php:text": "é",
	}, texts); diff != "" {
		t.Errorf("Go sees (-want +got):\n%s", diff)
	}
	if ok, err := s.Acquire(ctx, "theirs", "go-owner", time.Minute); ok || err != nil {
		t.Errorf("Go took Laravel's lock: %v, %v", ok, err)
	}
	if owner, err := s.Owner(ctx, "theirs"); owner != "php-owner" || err != nil {
		t.Errorf("the owner of Laravel's lock is %q, %v", owner, err)
	}
	must(s.Release(ctx, "mine", "go-owner"))
	if diff := cmp.Diff([]any{true, "7"}, laravel(t, addr, []any{"lock", "mine", 60, "php-owner"}, []any{"get", "count"})); diff != "" {
		t.Errorf("Laravel sees (-want +got):\n%s", diff)
	}
}
