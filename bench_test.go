package spool_test

import (
	"context"
	"testing"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/nullqueue"
)

// invoice is a job of about 100 bytes of JSON data.
type invoice struct {
	UserID  int64  `json:"user_id"`
	Email   string `json:"email"`
	Subject string `json:"subject"`
	Lang    string `json:"lang"`
}

func newInvoice() invoice {
	return invoice{UserID: 123456, Email: "ada.lovelace@example.org", Subject: "Your invoice is due tomorrow", Lang: "en"}
}

func draft() *spool.Draft {
	return &spool.Draft{
		UUID: spool.NewUUID(), ID: "vtobBStmVoDyG2UdqhVO777777777777", Name: "invoice", Data: newInvoice(),
		Created: time.Now(), CountsInBody: true,
	}
}

func BenchmarkEncode(b *testing.B) {
	d := draft()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := spool.Native.Encode(d); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	body, err := spool.Native.Encode(draft())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := spool.Native.Decode(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeData(b *testing.B) {
	body, err := spool.Native.Encode(draft())
	if err != nil {
		b.Fatal(err)
	}
	p, err := spool.Native.Decode(body)
	if err != nil {
		b.Fatal(err)
	}
	job := &spool.Job{Payload: p}
	b.ReportAllocs()
	for b.Loop() {
		var v invoice
		if err := job.Decode(&v); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDispatch is what the client adds to a push: the store drops jobs.
func BenchmarkDispatch(b *testing.B) {
	client := spool.Connect(nullqueue.New())
	job := newInvoice()
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := spool.Dispatch(b.Context(), client, job); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gathered", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := spool.Dispatch(b.Context(), client, job); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("bulk", func(b *testing.B) {
		jobs := make([]invoice, 1000)
		for i := range jobs {
			jobs[i] = job
		}
		b.ReportAllocs()
		for n := 0; n < b.N; n += len(jobs) {
			if _, err := spool.DispatchAll(b.Context(), client, jobs[:min(len(jobs), b.N-n)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestAllocationsOfADispatch bounds what doesn't depend on the machine.
func TestAllocationsOfADispatch(t *testing.T) {
	client := spool.Connect(nullqueue.New())
	job := newInvoice()
	got := testing.AllocsPerRun(1000, func() {
		if _, err := spool.Dispatch(context.Background(), client, job); err != nil {
			t.Fatal(err)
		}
	})
	if got > mostAllocs {
		t.Errorf("a dispatch makes %.0f allocations, want at most %d", got, mostAllocs)
	}
	t.Logf("%.0f allocations", got)
}

const mostAllocs = 26
