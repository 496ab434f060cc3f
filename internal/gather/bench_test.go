package gather_test

import (
	"context"
	"testing"

	"github.com/spoolq/spool/internal/gather"
)

func sink(_ context.Context, items []int) ([]int, []error) {
	return items, make([]error, len(items))
}

func BenchmarkAlone(b *testing.B) {
	g := gather.New(1000, sink)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Do(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGathered(b *testing.B) {
	g := gather.New(1000, sink)
	b.ReportAllocs()
	b.SetParallelism(50)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := g.Do(b.Context(), 1); err != nil {
				b.Fatal(err)
			}
		}
	})
}
