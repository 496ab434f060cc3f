package testserver

import (
	"strings"
	"testing"
)

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	c := NewRedisCluster(t)
	if len(c.Addrs()) != 6 {
		t.Fatalf("nodes: %v", c.Addrs())
	}
	master, replica := c.Master("{x}")
	if replica == nil || !strings.Contains(replica.Command("INFO", "replication"), "role:slave") {
		t.Fatal("the master has no replica")
	}
	if got := master.Command("SET", "{x}", "1"); got != "OK" {
		t.Errorf("SET answered %q", got)
	}
	if n := master.Command("WAIT", "1", "5000"); n != "1" {
		t.Errorf("%s replicas have it", n)
	}
	master.Kill()
	c.AwaitMaster(replica)
	if got := replica.Command("GET", "{x}"); got != "1" {
		t.Errorf("the promoted replica has %q", got)
	}
	if now, _ := c.Master("{x}"); now != replica {
		t.Errorf("the master is %s, want %s", now.Addr, replica.Addr)
	}
	master.Start()
	c.AwaitHealthy()
}

func TestRedisSentinel(t *testing.T) {
	t.Parallel()
	g := NewRedisSentinel(t)
	g.Master.Command("SET", "x", "1")
	g.Master.Command("WAIT", "1", "5000")
	g.Master.Kill()
	g.AwaitMaster(g.Replica)
	if got := g.Replica.Command("GET", "x"); got != "1" {
		t.Errorf("the promoted replica has %q", got)
	}
}
