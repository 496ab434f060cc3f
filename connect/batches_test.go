package connect

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/testserver"
	"github.com/spoolq/spool/sqldb/schema"
)

// TestBatchStores opens the store of batches that settings name.
func TestBatchStores(t *testing.T) {
	redis := fmt.Sprintf("queue: {batching: {driver: redis}}\ndatabase: {redis: {default: {url: \"redis://%s\"}}}", testserver.Redis(t))
	for settings, want := range map[string]string{
		"queue: {batching: {driver: memory}}": "*batch.Memory",
		redis:                                 "*redisbatch.Store",
	} {
		got := ""
		s := set(t, settings)
		if store, err := s.Manager.BatchStore(t.Context()); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprintf("%T", store)
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", settings, got, want)
		}
	}
	s := set(t, "")
	for _, table := range s.Tables() {
		db, err := s.Database(t.Context(), table.Database)
		if err == nil {
			_, err = schema.Create(t.Context(), db, table.Names)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if b, err := s.Client.Batch().Dispatch(t.Context()); err != nil || !b.Finished() {
		t.Errorf("in the database: %+v, %v", b, err)
	}
}

// TestNoFileForBatchesThatNobodyHas: a worker sweeps, and must not leave an
// empty database behind.
func TestNoFileForBatchesThatNobodyHas(t *testing.T) {
	s := set(t, "")
	if _, err := s.Manager.BatchStore(t.Context()); !errors.Is(err, spool.ErrNoBatches) || !strings.Contains(err.Error(), "spool migrate") {
		t.Errorf("%v", err)
	}
	file := s.Config.Databases[s.Config.DefaultDatabase].Database
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", filepath.Base(file), err)
	}
}
