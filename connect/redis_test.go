package connect

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/limit"
	"github.com/spoolq/spool/worker"
)

type greet struct{ Name string }

// works pushes jobs through a set made of this spool.yaml and works them: one
// at once, one delayed, one that fails and is tried again. Afterwards the other
// verbs of operators have their turn.
func works(t *testing.T, yaml string, environ ...string) *Set {
	t.Helper()
	s := set(t, yaml, environ...)
	tries := map[string]int{}
	spool.Handle(s.Mux, func(_ context.Context, job greet) error {
		if tries[job.Name]++; job.Name == "again" && tries[job.Name] == 1 {
			return fmt.Errorf("not yet")
		}
		return nil
	}, spool.Tries(2))
	for _, o := range [][]spool.DispatchOption{{}, {spool.Delay(time.Second)}} {
		if _, err := spool.Dispatch(t.Context(), s.Client, greet{fmt.Sprint("ann", len(o))}, o...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := spool.Dispatch(t.Context(), s.Client, greet{"again"}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Manager.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if size, err := c.Size(t.Context(), ""); err != nil || size.Total() != 3 {
		t.Errorf("size %+v, %v", size, err)
	}
	opts, err := s.WorkerOptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	opts.Concurrency, opts.MaxJobs = 1, 4
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	res, err := worker.New(c, s.Mux, opts).Run(ctx)
	if err != nil || res.Processed != 4 || res.Failed != 0 {
		t.Fatalf("worked %+v, %v", res, err)
	}
	if tries["ann0"] != 1 || tries["ann1"] != 1 || tries["again"] != 2 {
		t.Errorf("runs: %v", tries)
	}
	return s
}

// authority is a certificate authority of a test's own.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.sign(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// path is that of a file of the authority.
func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// sign writes NAME.pem and NAME-key.pem, signed by the authority, or by itself
// if it is the first.
func (a *authority) sign(t *testing.T, name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem":     {Type: "CERTIFICATE", Bytes: der},
		name + "-key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(a.path(file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// port returns a port that is free now.
func port(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// cannotOpen checks that the settings don't lead to the server, and why.
func cannotOpen(t *testing.T, yaml, words string) {
	t.Helper()
	s := set(t, yaml)
	if _, err := s.Redis(t.Context(), ""); err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("opening: %v, want an error with %q", err, words)
	}
}

const redisYAML = "laravel: none\nqueue: {default: redis}\ncache: {default: redis, stores: {redis: {connection: default}}}\ndatabase: {redis: {default: %s}}\n"

func TestRedisTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	ca.sign(t, "server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}})
	ca.sign(t, "client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	p := port(t)
	testserver.NewRedis(t, "--tls-port", p, "--tls-cert-file", ca.path("server.pem"), "--tls-key-file", ca.path("server-key.pem"),
		"--tls-ca-cert-file", ca.path("ca.pem"), "--tls-auth-clients", "yes", "--requirepass", "s3cret")
	tls := fmt.Sprintf("{ca: %s, cert: %s, key: %s}", ca.path("ca.pem"), ca.path("client.pem"), ca.path("client-key.pem"))
	works(t, fmt.Sprintf(redisYAML, "{scheme: tls, port: "+p+", password: s3cret, tls: "+tls+"}"))
	works(t, fmt.Sprintf(redisYAML, "{url: 'rediss://:s3cret@127.0.0.1:"+p+"/3', tls: "+tls+"}"))
	works(t, fmt.Sprintf(redisYAML, "{tls: "+tls+"}"), "REDIS_HOST=tls://localhost", "REDIS_PORT="+p, "REDIS_PASSWORD=s3cret")
	cannotOpen(t, fmt.Sprintf(redisYAML, "{scheme: tls, port: "+p+", password: s3cret}"), "TLS failed")
	cannotOpen(t, fmt.Sprintf(redisYAML, "{scheme: tls, port: "+p+", password: s3cret, tls: {ca: "+ca.path("ca.pem")+"}}"), "certificate")
	cannotOpen(t, fmt.Sprintf(redisYAML, "{scheme: tls, port: "+p+", tls: {ca: "+ca.path("none.pem")+"}}"), "none.pem")
}

func TestRedisSocketAndURLs(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "redis.sock")
	server := testserver.NewRedis(t, "--unixsocket", socket, "--requirepass", "p@ss/w:rd")
	works(t, fmt.Sprintf(redisYAML, "{unix_socket: "+socket+", password: 'p@ss/w:rd', database: 2}"))
	at := server.Addr
	host, port, _ := net.SplitHostPort(at)
	for _, tt := range []struct{ url, database string }{
		{"redis://:p%40ss%2Fw%3Ard@" + at, "0"},
		{"redis://:p%40ss%2Fw%3Ard@" + at + "/4", "4"},
		{"redis://null:p%40ss%2Fw%3Ard@" + at + "/5", "5"},
		{"redis://default:p%40ss%2Fw%3Ard@" + at + "/6", "6"},
		{"tcp://" + at + "?password=p%40ss%2Fw%3Ard&database=7&read_timeout=60", "7"},
		{"unix://" + socket + "?password=p%40ss%2Fw%3Ard&database=8", "8"},
		{"unix://:p%40ss%2Fw%3Ard@" + socket, "0"},
	} {
		s := works(t, fmt.Sprintf(redisYAML, "{url: '"+tt.url+"'}"))
		client, err := s.Redis(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		info, err := client.Do(t.Context(), client.B().ClientInfo().Build()).ToString()
		if err != nil || !strings.Contains(info, " db="+tt.database+" ") || strings.HasPrefix(tt.url, "unix") != strings.Contains(info, socket) {
			t.Errorf("%s is %s, %v", tt.url, info, err)
		}
	}
	works(t, "laravel: none\n", "QUEUE_CONNECTION=redis", "REDIS_HOST="+socket, "REDIS_PASSWORD=p@ss/w:rd", "CACHE_STORE=redis")
	works(t, "laravel: none\n", "QUEUE_CONNECTION=redis", "REDIS_HOST=unix://"+socket, "REDIS_PASSWORD=p@ss/w:rd", "CACHE_STORE=redis")
	works(t, "laravel: none\n", "QUEUE_CONNECTION=redis", "REDIS_HOST="+host, "REDIS_PORT="+port, "REDIS_PASSWORD=p@ss/w:rd", "CACHE_STORE=redis", "REDIS_DB=9")
}

// aclLine is the rule in the documentation.
var aclLine = regexp.MustCompile(`(?m)^ACL SETUSER (spool .*(?:\n {2}.*)*)`)

// The documented rules are enough for everything that Spool does, and hold no
// command that it doesn't use.
func TestRedisACL(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/drivers.md")
	if err != nil {
		t.Fatal(err)
	}
	found := aclLine.FindSubmatch(text)
	if found == nil {
		t.Fatal("the documentation has no rules")
	}
	rules := strings.Fields(string(found[1]))
	cluster := testserver.NewRedisCluster(t)
	single := testserver.NewRedis(t, "--appendonly", "no")
	allow := func(server *testserver.Server) (environ []string) {
		server.Command(append([]string{"ACL", "SETUSER"}, rules...)...)
		host, port, _ := net.SplitHostPort(server.Addr)
		return []string{
			"APP_NAME=Shop", "QUEUE_CONNECTION=redis", "CACHE_STORE=redis", "REDIS_CACHE_DB=0",
			"REDIS_HOST=" + host, "REDIS_PORT=" + port, "REDIS_USERNAME=spool", "REDIS_PASSWORD=secret",
		}
	}
	const yaml = `
laravel: 13
queue: {failed: {driver: "null"}, connections: {redis: {wait_replicas: %d}}}
database: {redis: {options: {prefix: shop_database_}, default: {cluster: %[2]t}, cache: {cluster: %[2]t}}}
cache: {prefix: shop_cache_}
`
	var environ []string
	for _, node := range cluster.Nodes {
		environ = allow(node)
	}
	everything(t, works(t, fmt.Sprintf(yaml, 1, true), environ...))
	s := works(t, fmt.Sprintf(yaml, 0, false), append(allow(single), "REDIS_DB=1")...)
	everything(t, s)
	client, err := s.Redis(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"another key": client.Do(t.Context(), client.B().Get().Key("business").Build()).Error(),
		"FLUSHALL":    client.Do(t.Context(), client.B().Flushall().Build()).Error(),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
			t.Errorf("%s: %v, want NOPERM", name, err)
		}
	}
	used := ""
	for _, server := range append(cluster.Nodes, single) {
		used += server.Command("INFO", "commandstats")
	}
	for _, r := range rules {
		name, ok := strings.CutPrefix(r, "+")
		if ok && !strings.Contains(used, "cmdstat_"+name+":") && !slices.Contains([]string{"role", "cluster|shards", "lpos"}, name) { // for sentinels, for Redis 8, for a queue that moves meanwhile
			t.Errorf("%s is allowed, and never used", r)
		}
	}
}

// everything calls what is left of the verbs and signals.
func everything(t *testing.T, s *Set) {
	t.Helper()
	c, err := s.Manager.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	d := c.Driver()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	ms := []driver.Message{{Body: []byte(`{"id":1,"attempts":0}`)}, {Body: []byte(`{"id":2,"attempts":0}`)}, {Body: []byte(`{"id":3,"attempts":0}`), Delay: time.Hour}}
	_, err = d.Push(t.Context(), "default", ms)
	must("push", err)
	rs, err := d.Reserve(t.Context(), "default", 2)
	must("reserve", err)
	must("extend", d.(driver.Extender).Extend(t.Context(), rs))
	for _, state := range []driver.State{driver.Pending, driver.Delayed, driver.Reserved} {
		_, _, err := d.(driver.Lister).List(t.Context(), "default", state, "", 10)
		must("list", err)
	}
	queues, err := d.(driver.QueueLister).Queues(t.Context())
	must("queues", err)
	if len(queues) != 1 {
		t.Errorf("queues %q", queues)
	}
	must("return", d.(driver.Returner).Return(t.Context(), rs[:1], 0))
	must("release", d.Release(t.Context(), rs[1:], 0))
	_, err = d.(driver.Rescuer).Rescue(t.Context(), "default", 10)
	must("rescue", err)
	named := []driver.Message{{Body: []byte(`{"job":"a","id":4,"attempts":0}`)}, {Body: []byte(`{"job":"b","id":5,"attempts":0}`)}}
	_, err = d.Push(t.Context(), "default", named)
	must("push", err)
	rs, err = d.(driver.Selector).ReserveMatching(t.Context(), "default", 1, &driver.Selection{Keys: []string{`"job":"`}, Names: []string{"b"}, End: `"`})
	must("reserve by name", err)
	if len(rs) != 1 {
		t.Errorf("%d jobs are reserved by name", len(rs))
	}
	_, err = c.Clear(t.Context(), "")
	must("clear", err)
	must("wait", d.(driver.Waiter).Wait(t.Context(), []string{"default"}, 50*time.Millisecond))
	registrar := d.(driver.Registrar)
	must("register", registrar.Register(t.Context(), driver.Record{ID: "me", Body: []byte("{}")}, time.Minute))
	workers, err := registrar.Registered(t.Context())
	must("workers", err)
	if len(workers) != 1 {
		t.Errorf("workers %+v", workers)
	}
	must("unregister", registrar.Unregister(t.Context(), "me"))
	must("ping", c.Ping(t.Context()))
	_, err = c.Advise(t.Context())
	must("advise", err)
	store, err := s.Cache(t.Context())
	must("cache", err)
	keys := spool.LaravelKeys()
	must("restart", store.Put(t.Context(), keys.Restart, time.Now().Unix(), 0))
	_, err = store.Many(t.Context(), keys.Restart, keys.PausedAll)
	must("signals", err)
	_, err = store.Increment(t.Context(), keys.Exceptions("x"), 1, time.Hour)
	must("count", err)
	must("forget", store.Forget(t.Context(), keys.Exceptions("x")))
	_, err = store.Acquire(t.Context(), "x", "me", time.Minute)
	must("lock", err)
	_, err = store.Owner(t.Context(), "x")
	must("owner", err)
	_, err = store.Release(t.Context(), "x", "me")
	must("unlock", err)
	must("break the lock", store.ForceRelease(t.Context(), "x"))
	limits(t, s, store)
}

// limits counts and locks as package limit does, in the cache and without it.
func limits(t *testing.T, s *Set, store Cache) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := cache.AcquireAny(t.Context(), store, []string{"slot1", "slot2"}, "me", time.Minute)
	must("take a slot", err)
	held := 0
	must("list locks", store.(cache.LockLister).Locks(t.Context(), "slot", func(cache.Lock) error { held++; return nil }))
	if held != 1 {
		t.Errorf("%d locks are listed", held)
	}
	bare, err := s.RedisLimits(t.Context(), "")
	must("limits", err)
	for _, c := range []limit.Counter{bare.Counter, limit.NewCounter(store)} {
		hour := []limit.Limit{limit.PerHour(1).By("a"), limit.PerHour(1).By("b")}
		_, err = c.Take(t.Context(), hour...)
		must("take", err)
		wait, err := c.Take(t.Context(), hour...)
		must("take", err)
		if wait == 0 {
			t.Error("a limit of one lets a second through")
		}
		_, err = c.Line(t.Context(), hour[0], wait)
		must("line", err)
		must("clear", c.Clear(t.Context(), "a"))
	}
}
