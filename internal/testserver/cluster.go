package testserver

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Cluster is a Redis Cluster of a test's own: three masters with a third of the
// slots each, and a replica of each master.
type Cluster struct {
	// Nodes are the masters, then the replicas in the order of their masters,
	// as it was at the start.
	Nodes []*Server

	t testing.TB
}

// clusterNode is how long a node may be silent before the others begin to
// replace it.
const clusterNode = 2 * time.Second

// NewRedisCluster starts a Redis Cluster of six nodes for this test alone and
// waits until all of them agree on it and the replicas are in step. args are
// further command line arguments of every node.
func NewRedisCluster(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	buses := map[*Server]string{}
	for range 6 {
		bus, err := freePort()
		require(t, err)
		s := newOfKind(t, redisServer, append([]string{
			"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-port", strconv.Itoa(bus),
			"--cluster-node-timeout", strconv.FormatInt(clusterNode.Milliseconds(), 10),
			"--cluster-allow-replica-migration", "no", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
		}, args...))
		buses[s] = strconv.Itoa(bus)
		c.Nodes = append(c.Nodes, s)
	}
	for i, s := range c.Nodes[:3] {
		c.must(s, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		c.must(s, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*16384/3), strconv.Itoa((i+1)*16384/3-1))
	}
	for _, s := range c.Nodes[1:] {
		host, port, _ := net.SplitHostPort(s.Addr)
		c.must(c.Nodes[0], "CLUSTER", "MEET", host, port, buses[s])
	}
	c.await("all nodes know each other", func() bool {
		for _, s := range c.Nodes {
			if strings.Count(c.must(s, "CLUSTER", "NODES"), " connected") != 6 {
				return false
			}
		}
		return true
	})
	for i, s := range c.Nodes[3:] {
		c.must(s, "CLUSTER", "REPLICATE", c.must(c.Nodes[i], "CLUSTER", "MYID"))
	}
	c.AwaitHealthy()
	return c
}

// Addrs returns the addresses of the nodes.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.Nodes))
	for i, s := range c.Nodes {
		addrs[i] = s.Addr
	}
	return addrs
}

// AwaitHealthy waits until every node is up, all of them know three masters
// that serve all slots, and the replicas are in step.
func (c *Cluster) AwaitHealthy() {
	c.t.Helper()
	c.await("the cluster is healthy", func() bool {
		for _, s := range c.Nodes {
			info, err := command(s.Addr, "CLUSTER", "INFO")
			nodes, err2 := command(s.Addr, "CLUSTER", "NODES")
			if err != nil || err2 != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_slots_ok:16384") ||
				strings.Contains(nodes, "fail") || strings.Count(nodes, "slave ") != 3 {
				return false
			}
			role, err := command(s.Addr, "INFO", "replication")
			if err != nil || strings.Contains(role, "role:slave") && !strings.Contains(role, "master_link_status:up") ||
				strings.Contains(role, "role:master") && !strings.Contains(role, "state=online") {
				return false
			}
		}
		return true
	})
}

// Master returns the node that serves a key now, and its replica.
func (c *Cluster) Master(key string) (master, replica *Server) {
	c.t.Helper()
	slot, err := strconv.Atoi(c.must(c.alive(), "CLUSTER", "KEYSLOT", key))
	if err != nil {
		c.t.Fatal(err)
	}
	var id string
	for line := range strings.Lines(c.must(c.alive(), "CLUSTER", "NODES")) {
		f := strings.Fields(line)
		for _, r := range f[8:] {
			from, to, _ := strings.Cut(r, "-")
			a, err1 := strconv.Atoi(from)
			b, err2 := strconv.Atoi(to)
			if err1 == nil && err2 == nil && a <= slot && slot <= b {
				id = f[0]
			}
		}
	}
	for line := range strings.Lines(c.must(c.alive(), "CLUSTER", "NODES")) {
		f := strings.Fields(line)
		addr, _, _ := strings.Cut(f[1], "@")
		for _, s := range c.Nodes {
			switch {
			case s.Addr != addr:
			case f[0] == id:
				master = s
			case f[3] == id:
				replica = s
			}
		}
	}
	if master == nil {
		c.t.Fatalf("no node serves %q", key)
	}
	return master, replica
}

// AwaitMaster waits until a node has become a master that serves slots, and all
// nodes that answer have heard of it.
func (c *Cluster) AwaitMaster(s *Server) {
	c.t.Helper()
	c.await(s.Addr+" is promoted", func() bool {
		for _, n := range c.Nodes {
			nodes, err := command(n.Addr, "CLUSTER", "NODES")
			if err != nil {
				continue
			}
			promoted := false
			for line := range strings.Lines(nodes) {
				f := strings.Fields(line)
				promoted = promoted || strings.HasPrefix(f[1], s.Addr+"@") && strings.Contains(f[2], "master") && len(f) > 8
			}
			info, err := command(n.Addr, "CLUSTER", "INFO")
			if !promoted || err != nil || !strings.Contains(info, "cluster_state:ok") {
				return false
			}
		}
		return true
	})
}

// alive returns a node that answers.
func (c *Cluster) alive() *Server {
	for _, s := range c.Nodes {
		if _, err := command(s.Addr, "PING"); err == nil {
			return s
		}
	}
	c.t.Fatal("no node of the cluster answers")
	return nil
}

func (c *Cluster) must(s *Server, args ...string) string {
	c.t.Helper()
	return mustCommand(c.t, s.Addr, args...)
}

func (c *Cluster) await(what string, ok func() bool) {
	c.t.Helper()
	await(c.t, what, ok)
}

func mustCommand(t testing.TB, addr string, args ...string) string {
	t.Helper()
	answer, err := command(addr, args...)
	if err != nil {
		t.Fatalf("%s of %s: %v", strings.Join(args, " "), addr, err)
	}
	return answer
}

// await polls until ok, for a minute.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain until %s", startTimeout, what)
		}
	}
}

// Command sends a command to the server, which must be a Redis, and returns
// its answer if that is one text or number.
func (s *Server) Command(args ...string) string {
	s.t.Helper()
	return mustCommand(s.t, s.Addr, args...)
}

// command asks a Redis server something whose answer is one text or number.
func command(addr string, args ...string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, probeTimeout)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		return "", err
	}
	request := fmt.Sprintf("*%d\r\n", len(args))
	for _, a := range args {
		request += fmt.Sprintf("$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := c.Write([]byte(request)); err != nil {
		return "", err
	}
	return redisAnswer(c)
}
