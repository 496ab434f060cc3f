package redisqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/rueidis"
)

// Queues returns the queues that hold at least one job. It walks all keys of
// the database in small steps (SCAN), in a cluster those of every master.
func (c *Conn) Queues(ctx context.Context) ([]string, error) {
	if err := c.check(ctx); err != nil {
		return nil, err
	}
	nodes := []rueidis.Client{c.client}
	if c.cluster {
		var err error
		if nodes, err = c.masters(ctx); err != nil {
			return nil, err
		}
	}
	found := map[string]bool{}
	for _, node := range nodes {
		if err := c.scan(ctx, node, found); err != nil {
			return nil, err
		}
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// masters returns a client of each node that has slots of the cluster, found by
// the ids of nodes: their addresses may be written in more than one way.
func (c *Conn) masters(ctx context.Context) ([]rueidis.Client, error) {
	ranges, err := c.client.Do(ctx, c.client.B().ClusterSlots().Build()).ToArray()
	if err != nil {
		return nil, err
	}
	missing := map[string]bool{}
	for i := range ranges {
		// From, to, master, replicas; a node is address, port, id, and more.
		r, _ := ranges[i].ToArray()
		if len(r) < 3 {
			return nil, errors.New("redisqueue: an answer to CLUSTER SLOTS without masters")
		}
		node, _ := r[2].ToArray()
		if len(node) < 3 {
			return nil, errors.New("redisqueue: an answer to CLUSTER SLOTS without ids of nodes")
		}
		id, err := node[2].ToString()
		if err != nil {
			return nil, err
		}
		missing[id] = true
	}
	var masters []rueidis.Client
	var silent error // of a node that doesn't say who it is
	for _, node := range c.client.Nodes() {
		id, err := node.Do(ctx, node.B().ClusterMyid().Build()).ToString()
		switch {
		case err != nil:
			silent = err
		case missing[id]:
			masters = append(masters, node)
			delete(missing, id)
		}
	}
	if len(missing) > 0 {
		if silent != nil {
			return nil, silent
		}
		return nil, fmt.Errorf("redisqueue: %d masters of the cluster are not connected: try again in a moment", len(missing))
	}
	return masters, nil
}

// scan adds the queues in one node to found.
func (c *Conn) scan(ctx context.Context, node rueidis.Client, found map[string]bool) error {
	pattern := escapeGlob(c.opts.Prefix+c.layout.Before) + "*"
	for cursor := uint64(0); ; {
		page, err := node.Do(ctx, node.B().Scan().Cursor(cursor).Match(pattern).Count(1000).Build()).AsScanEntry()
		if err != nil {
			return err
		}
		if err := c.collect(ctx, page.Elements, found); err != nil {
			return err
		}
		if cursor = page.Cursor; cursor == 0 {
			return nil
		}
	}
}

// collect adds the queues of these keys to found. An ending alone proves
// nothing, since a queue may be named like one: the type of the key decides,
// and for notify, which is a list like the queue itself, its first element.
func (c *Conn) collect(ctx context.Context, names []string, found map[string]bool) error {
	for _, key := range names {
		queue, p, ok := c.layout.queueOf(c.opts.Prefix, key, c.cluster)
		if !ok || p == ready && found[queue] {
			continue
		}
		kind, err := c.client.Do(ctx, c.client.B().Type().Key(key).Build()).ToString()
		if err != nil {
			return err
		}
		switch {
		case kind == "zset" && (p == delayed || p == reserved):
			found[queue] = true
		case kind == "list" && p == ready:
			found[queue] = true
		case kind == "list":
			first, err := c.client.Do(ctx, c.client.B().Lindex().Key(key).Index(0).Build()).ToString()
			if err != nil && !rueidis.IsRedisNil(err) {
				return err
			}
			if err == nil && (p != notify || first != "1") {
				name := strings.TrimPrefix(key, c.opts.Prefix+c.layout.Before)
				found[untag(strings.TrimSuffix(name, c.layout.After), c.cluster)] = true
			}
		}
	}
	return nil
}

// escapeGlob makes a pattern that matches s itself.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}
