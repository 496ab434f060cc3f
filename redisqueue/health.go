package redisqueue

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// oldest is the first version whose BLPOP takes fractions of a second and
// whose scripts may ask for the time.
const oldest = 6

// Ping checks that the server answers, is new enough and accepts writes; of a
// cluster, that a node does, since another one may just be replaced.
func (c *Conn) Ping(ctx context.Context) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	node, err := c.answering(ctx)
	if err != nil {
		return err
	}
	info, err := c.info(ctx, node)
	if _, refused := rueidis.IsRedisErr(err); refused {
		return nil // the user may not ask; the verbs will tell
	}
	if err != nil {
		return err
	}
	if v := info["redis_version"]; major(v) > 0 && major(v) < oldest {
		return fmt.Errorf("redis %s is too old: version %d or later is needed", v, oldest)
	}
	if info["role"] == "slave" && info["slave_read_only"] != "0" && !c.cluster {
		return fmt.Errorf("this redis is a read-only replica: connect to its master %s:%s", info["master_host"], info["master_port"])
	}
	return nil
}

// Advise says what in the server's settings can lose jobs.
func (c *Conn) Advise(ctx context.Context) ([]string, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	node, err := c.answering(ctx)
	if err != nil {
		return nil, err
	}
	info, err := c.info(ctx, node)
	if err != nil {
		return nil, err
	}
	advice := []string{}
	if p := info["maxmemory_policy"]; strings.HasPrefix(p, "allkeys-") {
		when := "once maxmemory is set and reached"
		if m := info["maxmemory"]; m != "" && m != "0" {
			when = "once maxmemory (" + info["maxmemory_human"] + ") is reached"
		}
		advice = append(advice, fmt.Sprintf("redis may drop whole queues %s: set maxmemory-policy from %s to noeviction, and give caches a server of their own", when, p))
	}
	if info["aof_enabled"] == "0" {
		save, err := node.Do(ctx, node.B().ConfigGet().Parameter("save").Build()).AsStrMap()
		switch _, refused := rueidis.IsRedisErr(err); {
		case refused: // managed servers don't tell
		case err != nil:
			return nil, err
		case save["save"] == "":
			advice = append(advice, "redis keeps nothing on disk: a restart loses all jobs; set appendonly yes")
		default:
			advice = append(advice, fmt.Sprintf("redis saves to disk only now and then (save %s): a crash loses the jobs since; set appendonly yes", save["save"]))
		}
	}
	if info["aof_last_write_status"] == "err" || info["rdb_last_bgsave_status"] == "err" {
		advice = append(advice, "redis can't write to its disk (see its log): it may refuse pushes, and a restart loses jobs")
	}
	if v := info["redis_version"]; major(v) > 0 && major(v) < oldest {
		advice = append(advice, fmt.Sprintf("redis %s is too old: version %d or later is needed", v, oldest))
	}
	return advice, nil
}

// answering returns the server, or the first node of the cluster to answer.
func (c *Conn) answering(ctx context.Context) (rueidis.Client, error) {
	if !c.cluster {
		return c.client, c.client.Do(ctx, c.client.B().Ping().Build()).Error()
	}
	type answer struct {
		node rueidis.Client
		err  error
	}
	nodes := c.client.Nodes()
	answers := make(chan answer, len(nodes))
	// Not cancelled: a command that is the first on its node makes the
	// connection, which others of this process wait for, and which would end with
	// its context.
	asking := context.WithoutCancel(ctx)
	for _, node := range nodes {
		// Not waited for: one that asks a node that hangs ends with the client's
		// timeout.
		go func() { answers <- answer{node, node.Do(asking, node.B().Ping().Build()).Error()} }()
	}
	failed := error(rueidis.ErrNoSlot)
	for range nodes {
		select {
		case a := <-answers:
			if a.err == nil {
				return a.node, nil
			}
			failed = a.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, failed
}

// info returns what a server says of itself.
func (c *Conn) info(ctx context.Context, node rueidis.Client) (map[string]string, error) {
	text, err := node.Do(ctx, node.B().Info().Build()).ToString()
	if err != nil {
		return nil, err
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info, nil
}

func major(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}
