package redisdb

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool/internal/testserver"
)

func TestMain(m *testing.M) { testserver.Main(m) }

const secret = "s3cret/p@ss:word"

func at(t *testing.T, addr string) Options {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Host: host, Port: n}
}

// opens checks that a connection can be used, and returns what CLIENT INFO
// says of it.
func opens(t *testing.T, o Options) string {
	t.Helper()
	client, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	info, err := client.Do(t.Context(), client.B().ClientInfo().Build()).ToString()
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// fails checks that Open fails with an error that contains these words and no
// password.
func fails(t *testing.T, o Options, words ...string) error {
	t.Helper()
	client, err := Open(t.Context(), o)
	if err == nil {
		client.Close()
		t.Fatalf("%v was opened, want an error with %q", o, words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error is %q, want one with %q", err, w)
		}
	}
	for _, s := range []string{secret, "s3cret", "p@ss", "word123"} {
		if strings.Contains(err.Error(), s) {
			t.Errorf("the error tells the password: %q", err)
		}
	}
	return err
}

func TestOpen(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "redis.sock")
	server := testserver.NewRedis(t, "--requirepass", secret, "--unixsocket", socket)
	o := at(t, server.Addr)
	o.Password = secret
	plain := server.Addr
	escaped := "s3cret%2Fp%40ss%3Aword"

	for name, tt := range map[string]struct {
		o    Options
		want string
	}{
		"host and port":         {o, "name=spool"},
		"client name":           {Options{Host: o.Host, Port: o.Port, Password: secret, ClientName: "mine"}, "name=mine"},
		"database":              {Options{Host: o.Host, Port: o.Port, Password: secret, DB: 3}, " db=3 "},
		"tcp host":              {Options{Host: "tcp://" + o.Host, Port: o.Port, Password: secret}, "name=spool"},
		"url":                   {Options{URL: "redis://:" + escaped + "@" + plain + "/2"}, " db=2 "},
		"url with null user":    {Options{URL: "redis://null:" + escaped + "@" + plain}, " db=0 "},
		"url with query":        {Options{URL: "tcp://" + plain + "?database=4&password=" + escaped}, " db=4 "},
		"url without password":  {Options{URL: "redis://" + plain, Password: secret, DB: 5}, " db=5 "},
		"url over the rest":     {Options{URL: "redis://:" + escaped + "@" + plain + "/2", Host: "nowhere.invalid", Port: 1, Password: "x", DB: 9}, " db=2 "},
		"socket":                {Options{Socket: socket, Password: secret}, "name=spool"},
		"socket as host":        {Options{Host: socket, Password: secret, DB: 1}, " db=1 "},
		"socket as unix host":   {Options{Host: "unix://" + socket, Password: secret}, "name=spool"},
		"socket as url":         {Options{URL: "unix://" + socket + "?database=6", Password: secret}, " db=6 "},
		"acl user by name":      {Options{Host: o.Host, Port: o.Port, Username: "default", Password: secret}, "user=default"},
		"url with default user": {Options{URL: "redis://default:" + escaped + "@" + plain}, "user=default"},
	} {
		t.Run(name, func(t *testing.T) {
			if info := opens(t, tt.o); !strings.Contains(info, tt.want) {
				t.Errorf("the connection is %q, want %q", info, tt.want)
			}
		})
	}

	wrong := o
	wrong.Password = "word123"
	_ = fails(t, wrong, plain, "password or user name is wrong", "REDIS_PASSWORD")
	wrong.Password = ""
	_ = fails(t, wrong, plain, "wants a password")
	wrong = o
	wrong.DB = 99
	_ = fails(t, wrong, plain, "database 99", "no such database")
	wrong = o
	wrong.Username = "bob"
	_ = fails(t, wrong, `user "bob"`, "wrong")
	_ = fails(t, Options{Socket: socket + "x", Password: secret}, socket+"x", "no such socket")
}

func TestOpenWithoutAServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	o := at(t, addr)
	o.Password = secret
	o.DialTimeout = 300 * time.Millisecond
	// Somebody listens and never says a word.
	start := time.Now()
	_ = fails(t, o, addr, "no answer in time")
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v to give up", d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	o.DialTimeout = 2 * time.Second
	start = time.Now()
	if _, err := Open(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a context that ends: %v", err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("it took %v to notice that the context had ended", d)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_ = fails(t, o, addr, "nobody listens there", "REDIS_HOST")
	_ = fails(t, Options{Host: "nowhere.invalid", Password: secret}, "nowhere.invalid", "not known")
	_ = fails(t, Options{Cluster: []string{addr}, Password: secret}, "cluster", addr, "nobody listens")
	_ = fails(t, Options{Sentinel: Sentinel{Master: "main", Addrs: []string{addr}}}, "main", addr)
}

func TestOpenRefusesBadSettings(t *testing.T) {
	for name, tt := range map[string]struct {
		o     Options
		words string
	}{
		"scheme":             {Options{URL: "http://:s3cret@h"}, "scheme"},
		"url not escaped":    {Options{URL: "redis://:s3cret%zz@host"}, "percent-encode"},
		"url with bad port":  {Options{URL: "redis://:s3cret@host:port"}, "percent-encode"},
		"database not a url": {Options{URL: "redis://:s3cret@host/one"}, `"one" is not a number`},
		"host scheme":        {Options{Host: "http://h"}, "scheme"},
		"port":               {Options{Port: 70000}, "65535"},
		"database":           {Options{DB: -1}, "database -1"},
		"cluster database":   {Options{Cluster: []string{"h:1"}, DB: 1}, "only database 0"},
		"both":               {Options{Cluster: []string{"h:1"}, Sentinel: Sentinel{Master: "m", Addrs: []string{"h:2"}}}, "both"},
		"no sentinels":       {Options{Sentinel: Sentinel{Master: "m"}}, "no addresses"},
		"no master":          {Options{Sentinel: Sentinel{Addrs: []string{"h:2"}}}, "name of the master"},
	} {
		t.Run(name, func(t *testing.T) { _ = fails(t, tt.o, tt.words) })
	}
}

func TestOpenTLS(t *testing.T) {
	dir := t.TempDir()
	pool := certify(t, dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	server := testserver.NewRedis(t, "--tls-port", port, "--tls-auth-clients", "no",
		"--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"), "--tls-ca-cert-file", filepath.Join(dir, "cert.pem"))
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	trusting := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	opens(t, Options{Host: "127.0.0.1", Port: n, TLS: trusting})
	opens(t, Options{URL: "rediss://127.0.0.1:" + port, TLS: trusting})
	opens(t, Options{Host: "tls://127.0.0.1", Port: n, TLS: trusting})
	_ = fails(t, Options{URL: "rediss://127.0.0.1:" + port}, "TLS failed", "certificate")
	_ = fails(t, Options{URL: "tls://" + server.Addr, DialTimeout: time.Second}, "TLS")
	_ = fails(t, Options{Host: "127.0.0.1", Port: n, DialTimeout: time.Second}, port)
}

// certify writes a certificate for 127.0.0.1 and returns who trusts it.
func certify(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		text := pem.EncodeToMemory(block)
		if name == "cert.pem" {
			pool.AppendCertsFromPEM(text)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return pool
}

func TestStringTellsNoPassword(t *testing.T) {
	for want, o := range map[string]Options{
		"redis at 127.0.0.1:6379":                                    {Password: secret},
		`redis at h:1, database 2, user "u"`:                         {URL: "redis://u:" + "s3cret@h:1/2"},
		"redis cluster at a:1, b:2":                                  {Cluster: []string{"a:1", "b:2"}, Password: secret},
		`redis "m" by sentinels at a:1`:                              {Sentinel: Sentinel{Master: "m", Addrs: []string{"a:1"}, Password: secret}},
		"redis at /run/redis.sock, database 1":                       {Host: "/run/redis.sock", DB: 1},
		"redis (settings that can't be used)":                        {URL: "http://:" + secret + "@h"},
		"redis at [::1]:6379":                                        {Host: "::1"},
		"redis at example.com:6380":                                  {URL: "rediss://example.com:6380?read_timeout=60"},
		`redis at redis.example.com:6379, database 1, user "worker"`: {URL: "tls://worker:pw@redis.example.com/1"},
	} {
		if got := o.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSentinel(t *testing.T) {
	master := testserver.NewRedis(t)
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		t.Fatal(err)
	}
	addr := sentinel(t, "sentinel monitor main "+host+" "+port+" 1")
	o := Options{Sentinel: Sentinel{Master: "main", Addrs: []string{addr}}, DB: 2}
	deadline := time.Now().Add(20 * time.Second)
	for {
		client, err := Open(t.Context(), at(t, addr)) // a sentinel answers a ping too
		if err == nil {
			client.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if info := opens(t, o); !strings.Contains(info, "laddr="+master.Addr) || !strings.Contains(info, " db=2 ") {
		t.Errorf("the connection is %q, want one to %s", info, master.Addr)
	}
	o.Sentinel.Master = "other"
	_ = fails(t, o, `"other"`, addr)
}

// sentinel starts a sentinel with this configuration and returns its address.
func sentinel(t *testing.T, conf string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport %d\n%s\n", at(t, addr).Port, conf)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", file, "--sentinel")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return addr
}
