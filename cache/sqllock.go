package cache

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// prunes is how many calls of Acquire there are to one that removes the locks
// that have expired: Laravel's odds of 2 in 100.
const prunes = 50

// Acquire implements [Locker].
func (s *SQL) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	seconds, err := Seconds(ttl)
	if err != nil {
		return false, err
	}
	now := time.Now().Unix()
	until := expiration(now, seconds, lockForEver)
	ok, err := insert(ctx, s.locks, s.insertLock, s.prefix+name, owner, until)
	if err != nil {
		return false, err
	}
	d := s.locks.Dialect()
	if !ok {
		n, err := exec(ctx, s.locks, d.Rebind("UPDATE "+d.Ident(s.lockTable)+" SET "+d.Ident("owner")+" = ?, "+d.Ident("expiration")+" = ? WHERE "+
			d.Ident("key")+" = ? AND ("+d.Ident("owner")+" = ? OR "+d.Ident("expiration")+" <= ?)"), owner, until, s.prefix+name, owner, now)
		if ok = n > 0; err != nil {
			return false, err
		}
	}
	if s.acquired.Add(1)%prunes == 0 {
		// A lock that can't be pruned now is pruned another time.
		_, _ = exec(ctx, s.locks, d.Rebind("DELETE FROM "+d.Ident(s.lockTable)+" WHERE "+d.Ident("expiration")+" <= ?"), now)
	}
	return ok, nil
}

// Release implements [Locker].
func (s *SQL) Release(ctx context.Context, name, owner string) (bool, error) {
	d := s.locks.Dialect()
	n, err := exec(ctx, s.locks, d.Rebind("DELETE FROM "+d.Ident(s.lockTable)+" WHERE "+d.Ident("key")+" = ? AND "+d.Ident("owner")+" = ? AND "+
		d.Ident("expiration")+" > ?"), s.prefix+name, owner, time.Now().Unix())
	return n > 0, err
}

// ForceRelease implements [Locker].
func (s *SQL) ForceRelease(ctx context.Context, name string) error {
	d := s.locks.Dialect()
	_, err := exec(ctx, s.locks, d.Rebind("DELETE FROM "+d.Ident(s.lockTable)+" WHERE "+d.Ident("key")+" = ?"), s.prefix+name)
	return err
}

// Owner implements [Locker].
func (s *SQL) Owner(ctx context.Context, name string) (owner string, err error) {
	d := s.locks.Dialect()
	err = s.locks.SQL().QueryRowContext(ctx, d.Rebind("SELECT "+d.Ident("owner")+" FROM "+d.Ident(s.lockTable)+" WHERE "+d.Ident("key")+" = ? AND "+
		d.Ident("expiration")+" > ?"), s.prefix+name, time.Now().Unix()).Scan(&owner)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return owner, err
}
