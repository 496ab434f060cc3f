package connect

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch"
	"github.com/spoolq/spool/batch/redisbatch"
	"github.com/spoolq/spool/laravel"
)

// The tables that Spool keeps beside that of batches.
const (
	batchEnds      = "spool_batch_ends"
	batchCallbacks = "spool_batch_callbacks"
)

// useBatches has the manager keep batches where the settings say.
func (s *Set) useBatches() {
	o := spool.BatchingOptions{Open: s.openBatches, Logger: s.log}
	if f, ok := s.format.(*laravel.Format); ok {
		o.PHP = f.BatchCallbacks
	}
	s.Manager.UseBatches(o)
}

func (s *Set) openBatches(ctx context.Context) (spool.BatchStore, error) {
	b := s.Config.Batching
	switch b.Driver {
	case "memory":
		return batch.NewMemory(), nil
	case "redis":
		name := cmp.Or(b.Connection, "default")
		client, err := s.Redis(ctx, name)
		if err != nil {
			return nil, err
		}
		return redisbatch.New(client, &redisbatch.Options{Prefix: s.Config.Redis[name].Prefix}), nil
	}
	// A worker of an application without batches must not make a file.
	if err := s.Absent(b.Database); err != nil {
		return nil, fmt.Errorf("%w: %w", spool.ErrNoBatches, err)
	}
	db, err := s.Database(ctx, b.Database)
	if err != nil {
		return nil, err
	}
	return batch.NewSQL(db, &batch.SQLOptions{
		Table: s.table(b.Database, b.Table), Ends: s.table(b.Database, batchEnds), Callbacks: s.table(b.Database, batchCallbacks),
	}), nil
}
