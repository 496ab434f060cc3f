package procgroup

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestTailKeepsTheEnd(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for size := 1; size < 40; size += 3 {
		tail, all := NewTail(size), ""
		for range 50 {
			b := strings.Repeat(string(rune('a'+rng.IntN(26))), rng.IntN(size*2))
			_, _ = tail.Write([]byte(b))
			all += b
			if got, want := string(tail.Bytes()), all[max(0, len(all)-size):]; got != want {
				t.Fatalf("size %d: got %q, want %q", size, got, want)
			}
		}
	}
}

func TestTailAsText(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "",
		" one\n":              "one",
		"a\x00b\x1b[31mc\xff": "ab[31mc\uFFFD",
		"0123456789é":         "…123456789é",
		"é1234567890":         "…1234567890", // cut in the middle of é
	} {
		tail := NewTail(11)
		_, _ = tail.Write([]byte(in))
		if got := tail.Text(); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
