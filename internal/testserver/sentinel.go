package testserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Sentinel is a Redis master with a replica, watched over by three sentinels.
type Sentinel struct {
	Name            string // of the master set
	Master, Replica *Server
	Sentinels       []*Server

	t testing.TB
}

// NewRedisSentinel starts a Redis master, its replica and three sentinels for
// this test alone, and waits until all know each other. The sentinels replace a
// master that was silent for 2 s. args are further command line arguments of
// master and replica.
func NewRedisSentinel(t testing.TB, args ...string) *Sentinel {
	t.Helper()
	g := &Sentinel{Name: "main", t: t}
	common := append([]string{"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}, args...)
	g.Master = newOfKind(t, redisServer, common)
	host, port, _ := net.SplitHostPort(g.Master.Addr)
	g.Replica = newOfKind(t, redisServer, append([]string{"--replicaof", host, port}, common...))
	await(t, "the replica is in step", func() bool {
		info, err := command(g.Replica.Addr, "INFO", "replication")
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	monitor := fmt.Sprintf(`sentinel monitor %[1]s %[2]s %[3]s 2
sentinel down-after-milliseconds %[1]s 2000
sentinel failover-timeout %[1]s 10000
`, g.Name, host, port)
	for range 3 {
		g.Sentinels = append(g.Sentinels, newOfKind(t, sentinelServer(monitor), nil))
	}
	await(t, "the sentinels know each other", func() bool { return g.known("slaves=1,sentinels=3") })
	return g
}

// Addrs returns the addresses of the sentinels.
func (g *Sentinel) Addrs() []string {
	addrs := make([]string, len(g.Sentinels))
	for i, s := range g.Sentinels {
		addrs[i] = s.Addr
	}
	return addrs
}

// AwaitMaster waits until every sentinel takes this server for a master in good
// health.
func (g *Sentinel) AwaitMaster(s *Server) {
	g.t.Helper()
	await(g.t, s.Addr+" is promoted", func() bool {
		info, err := command(s.Addr, "INFO", "replication")
		return err == nil && strings.Contains(info, "role:master") && g.known("status=ok,address="+s.Addr)
	})
}

// known says whether every sentinel says something of the master set.
func (g *Sentinel) known(what string) bool {
	for _, s := range g.Sentinels {
		info, err := command(s.Addr, "INFO", "sentinel")
		if err != nil || !strings.Contains(info, what) {
			return false
		}
	}
	return true
}

// sentinelServer is the kind of a sentinel that begins with this configuration,
// and goes on with what it has made of it.
func sentinelServer(conf string) kind {
	k := redisServer
	k.name, k.env, k.stopSignal = "redis-sentinel", "", syscall.SIGTERM
	k.command = func(s *server) (string, []string) {
		file := filepath.Join(s.dir, "sentinel-"+strconv.Itoa(s.port)+".conf")
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			text := fmt.Sprintf("bind 127.0.0.1\nport %d\n%s", s.port, conf)
			_ = os.WriteFile(file, []byte(text), 0o600) // without it the server says so
		}
		return program(redisProgram()), []string{file, "--sentinel"}
	}
	return k
}
