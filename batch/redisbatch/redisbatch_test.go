package redisbatch_test

import (
	"crypto/rand"
	"testing"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/batch/batchtest"
	"github.com/spoolq/spool/batch/redisbatch"
	"github.com/spoolq/spool/internal/testserver"
)

func TestMain(m *testing.M) { testserver.Main(m) }

func TestRedis(t *testing.T) {
	batchtest.Run(t, func(t *testing.T) func() spool.BatchStore {
		client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{testserver.Redis(t)}, DisableCache: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		prefix := rand.Text() + "_"
		return func() spool.BatchStore { return redisbatch.New(client, &redisbatch.Options{Prefix: prefix}) }
	})
}
