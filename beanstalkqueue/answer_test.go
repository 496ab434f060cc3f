package beanstalkqueue

import (
	"bufio"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadAnswer(t *testing.T) {
	for text, want := range map[string]answer{
		"INSERTED 18446744073709551615\r\n": {word: "INSERTED", id: 1<<64 - 1},
		"BURIED\r\n":                        {word: "BURIED"},
		"BURIED 7\r\n":                      {word: "BURIED", id: 7},
		"RESERVED 5 3\r\na\r\n\r\n":         {word: "RESERVED", id: 5, body: []byte("a\r\n")},
		"FOUND 5 0\r\n\r\n":                 {word: "FOUND", id: 5, body: []byte{}},
		"OK 4\r\n---\n\r\n":                 {word: "OK", body: []byte("---\n")},
		"WATCHING 2\r\n":                    {word: "WATCHING"},
		"DEADLINE_SOON\r\n":                 {word: "DEADLINE_SOON"},
	} {
		got, err := readAnswer(bufio.NewReader(strings.NewReader(text)))
		if err != nil || cmp.Diff(want, got, cmp.AllowUnexported(answer{})) != "" {
			t.Errorf("%q is read as %+v and %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "OK", "HTTP/1.1 400 Bad Request\r\n\r\n", "-ERR unknown command\r\n", "\r\n", strings.Repeat("x", 100_000) + "\r\n",
		"RESERVED x 3\r\nabc\r\n", "RESERVED 1\r\n", "RESERVED 1 -1\r\n\r\n", "RESERVED 1 99999999999999\r\n", "RESERVED 1 5\r\nabc\r\n",
		"RESERVED 1 3\r\nabcd\r\n", "OK 99999999999999999999\r\n", "INSERTED -1\r\n",
	} {
		if got, err := readAnswer(bufio.NewReader(strings.NewReader(text))); err == nil {
			t.Errorf("%.40q is read as %+v, want an error", text, got)
		}
	}
}

// FuzzReadAnswer: whatever a server says, reading it ends and allocates no more
// than it sent.
func FuzzReadAnswer(f *testing.F) {
	f.Add("RESERVED 5 3\r\nabc\r\nOK 10\r\n---\nid: 1\n\r\nTIMED_OUT\r\n")
	f.Add("RESERVED 5 1000000000\r\nabc\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := bufio.NewReader(strings.NewReader(text))
		total := 0
		for {
			a, err := readAnswer(r)
			if err != nil {
				break
			}
			total += len(a.body)
			_, _, _ = field(a.body, "tube"), count(a.body, "pri"), list(a.body)
		}
		if total > len(text) {
			t.Errorf("%d bytes of bodies were read from %d", total, len(text))
		}
	})
}

func TestStatistics(t *testing.T) {
	stats := []byte("---\nid: 44\ntube: \"a;b\"\npri: 1024\nttr: x\nreserves: 12\n")
	if got := string(field(stats, "tube")); got != "a;b" {
		t.Errorf("tube is %q", got)
	}
	for name, want := range map[string]int64{"id": 44, "pri": 1024, "ttr": 0, "reserves": 12, "nothing": 0, "i": 0} {
		if got := count(stats, name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	if diff := cmp.Diff([]string{"default", "b"}, list([]byte("---\n- default\n- \"b\"\n"))); diff != "" {
		t.Error(diff)
	}
}
