package cache_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/spoolq/spool/cache"
	"github.com/spoolq/spool/cache/cachetest"
)

func TestMemory(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) cachetest.Subject { return cache.NewMemory() })
}

func TestMemoryDropsExpiredKeysAsItGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := cache.NewMemory()
		for range 100 {
			for i := range 100 {
				key := time.Now().String() + string(rune('a'+i))
				if err := m.Put(t.Context(), key, i, time.Minute); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Hour)
		}
		if n := m.Len(); n > 2048 {
			t.Errorf("%d entries are kept after 10,000 short-lived ones", n)
		}
	})
}
