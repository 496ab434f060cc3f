// Package rediscache is Laravel's Redis cache store: the same keys, the same
// bytes, so that PHP and Go see each other's signals, counters and locks.
//
// Numbers are stored bare (which is what INCRBY counts), everything else as
// PHP's serialize() writes it, and a lock is a key that holds its owner's name.
package rediscache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/cache"
)

// Options are the settings of a [Store].
type Options struct {
	// Prefix is put before every key and lock name as it is: the prefix of the
	// Redis client followed by that of the cache, e.g.
	// "laravel_database_laravel_cache:". Default: none.
	Prefix string
	// Locks is where locks are kept (Laravel's lock_connection, by default the
	// connection "default", while values are on "cache"). Default: with the
	// values.
	Locks rueidis.Client
	// LockPrefix is the Prefix of Locks. Default: Prefix.
	LockPrefix string
}

// Store is a [cache.Store] and [cache.Locker] in Redis.
type Store struct {
	values, locks      rueidis.Client
	prefix, lockPrefix string
}

var (
	_ cache.Store     = (*Store)(nil)
	_ cache.Locker    = (*Store)(nil)
	_ cache.AnyLocker = (*Store)(nil)
)

// New returns the store that client leads to. It doesn't close the client.
func New(client rueidis.Client, o *Options) *Store {
	if o == nil {
		o = &Options{}
	}
	s := &Store{values: client, locks: o.Locks, prefix: o.Prefix, lockPrefix: o.LockPrefix}
	if s.locks == nil {
		s.locks = client
	}
	if s.lockPrefix == "" {
		s.lockPrefix = s.prefix
	}
	return s
}

// Many implements [cache.Store] with one MGET (in a cluster, one a node).
func (s *Store) Many(ctx context.Context, keys ...string) (map[string]string, error) {
	found := make(map[string]string, len(keys))
	names := make([]string, 0, len(keys))
	for _, key := range keys {
		if _, asked := found[key]; !asked {
			found[key] = ""
			names = append(names, s.prefix+key)
		}
	}
	clear(found)
	answers, err := rueidis.MGet(s.values, ctx, names)
	if err != nil {
		return nil, err
	}
	for name, answer := range answers {
		stored, err := answer.ToString()
		if rueidis.IsRedisNil(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if text, ok := decode(stored); ok {
			found[strings.TrimPrefix(name, s.prefix)] = text
		}
	}
	return found, nil
}

// Put implements [cache.Store].
func (s *Store) Put(ctx context.Context, key string, value any, ttl time.Duration) error {
	_, err := s.set(ctx, key, value, ttl, false)
	return err
}

// Add implements [cache.Store].
func (s *Store) Add(ctx context.Context, key string, value any, ttl time.Duration) (bool, error) {
	return s.set(ctx, key, value, ttl, true)
}

func (s *Store) set(ctx context.Context, key string, value any, ttl time.Duration, absent bool) (bool, error) {
	seconds, err := cache.Seconds(ttl)
	if err != nil {
		return false, err
	}
	stored, err := encode(value)
	if err != nil {
		return false, err
	}
	err = s.values.Do(ctx, set(s.values, s.prefix+key, stored, seconds, absent)).Error()
	if rueidis.IsRedisNil(err) { // there already
		return false, nil
	}
	return err == nil, err
}

func set(client rueidis.Client, key, value string, seconds int64, absent bool) rueidis.Completed {
	cmd := client.B().Arbitrary("SET").Keys(key).Args(value)
	if absent {
		cmd = cmd.Args("NX")
	}
	if seconds > 0 {
		cmd = cmd.Args("EX", strconv.FormatInt(seconds, 10))
	}
	return cmd.Build()
}

// Increment implements [cache.Store].
func (s *Store) Increment(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	seconds, err := cache.Seconds(ttl)
	if err != nil {
		return 0, err
	}
	// No script: Lua has only 53 bits for an integer. The zero that an absent
	// key gets brings the ttl, which INCRBY keeps.
	name := s.prefix + key
	res := s.values.DoMulti(ctx,
		s.values.B().Multi().Build(),
		set(s.values, name, "0", seconds, true),
		s.values.B().Incrby().Key(name).Increment(by).Build(),
		s.values.B().Exec().Build())
	answers, err := res[3].ToArray()
	if err != nil {
		for _, r := range res[:3] { // why the transaction was refused
			if _, refused := rueidis.IsRedisErr(r.Error()); refused {
				return 0, r.Error()
			}
		}
		return 0, err
	}
	if len(answers) != 2 {
		return 0, fmt.Errorf("cache key %q: the transaction answered %d times, not twice", key, len(answers))
	}
	n, err := answers[1].AsInt64()
	if _, refused := rueidis.IsRedisErr(err); refused {
		return 0, s.notInteger(ctx, key, by, err)
	}
	return n, err
}

// notInteger says why the server could not add.
func (s *Store) notInteger(ctx context.Context, key string, by int64, refused error) error {
	there, err := s.Many(ctx, key)
	if err != nil {
		return refused
	}
	if _, err := cache.Sum(key, there[key], by); err != nil {
		return err
	}
	return refused
}

// Forget implements [cache.Store].
func (s *Store) Forget(ctx context.Context, key string) error {
	return s.values.Do(ctx, s.values.B().Del().Key(s.prefix+key).Build()).Error()
}

// encode renders a value as Laravel's store does.
func encode(value any) (string, error) {
	switch v := value.(type) {
	case string:
		// A numeric string is stored bare too, but only if every PHP version
		// takes it for one when it reads it back.
		if numeric(v) && strings.TrimSpace(v) == v {
			return v, nil
		}
		return cache.Serialize(v)
	case bool:
		return cache.Serialize(v)
	}
	return cache.Text(value)
}

func decode(stored string) (string, bool) {
	if numeric(stored) {
		return stored, true
	}
	return cache.Unserialize(stored)
}

var number = regexp.MustCompile(`^[ \t\n\r\v\f]*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?[ \t\n\r\v\f]*$`)

// numeric is PHP's is_numeric, without what is infinite.
func numeric(s string) bool {
	if s == "" || s[0] > '9' || !number.MatchString(s) {
		return false
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return !math.IsInf(f, 0) && (err == nil || errors.Is(err, strconv.ErrRange))
}
