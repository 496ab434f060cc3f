package phpserial_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/spoolq/spool/laravel/phpserial"
)

// php runs a script of testdata with the given input and returns its lines,
// decoded from base64; nil stands for "!".
func php(t *testing.T, input []byte, script string, args ...string) [][]byte {
	t.Helper()
	bin, err := exec.LookPath("php")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("php is not installed")
		}
		t.Skip("php is not installed")
	}
	cmd := exec.CommandContext(t.Context(), bin, append([]string{"-n", "testdata/" + script}, args...)...)
	cmd.Stdin = bytes.NewReader(input)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); {
		if sc.Text() == "!" {
			lines = append(lines, nil)
			continue
		}
		b, err := base64.StdEncoding.DecodeString(sc.Text())
		if err != nil {
			t.Fatalf("php answered %q", sc.Text())
		}
		lines = append(lines, b)
	}
	return lines
}

// What PHP writes comes back byte for byte through the tree.
func TestPHPWritesWeReadAndWrite(t *testing.T) {
	lines := php(t, nil, "generate.php", "5000")
	if len(lines) != 5000 {
		t.Fatalf("got %d lines", len(lines))
	}
	refs := 0
	for _, in := range lines {
		if bytes.Contains(in, []byte(";r:")) || bytes.Contains(in, []byte(";R:")) {
			refs++
		}
		v, err := phpserial.Decode(string(in), nil)
		if err != nil {
			t.Fatalf("Decode(%q): %v", in, err)
		}
		got, err := phpserial.Encode(v)
		if err != nil || got != string(in) {
			t.Fatalf("read and written again:\n got %q, %v\nwant %q", got, err, in)
		}
	}
	if refs < 500 {
		t.Errorf("only %d inputs with references", refs)
	}
}

// What we write, PHP reads, and writes the same way.
func TestWeWritePHPReadsAndWrites(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var input bytes.Buffer
	var want []string
	for range 5000 {
		s, err := phpserial.Encode(random(rnd, 4))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, s)
		input.WriteString(base64.StdEncoding.EncodeToString([]byte(s)) + "\n")
	}
	lines := php(t, input.Bytes(), "echo.php")
	if len(lines) != len(want) {
		t.Fatalf("got %d lines, want %d", len(lines), len(want))
	}
	for i, got := range lines {
		if string(got) != want[i] {
			t.Fatalf("PHP makes of it\n     %q\nwant %q", got, want[i])
		}
	}
}

func TestFloatsAsPHPWritesThem(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	floats := []float64{0, math.Copysign(0, -1), 1, 1e15, 1e16, 1e17, 1e18, 99999999999999980, 1e-4, 9.9e-5, 1e-5, 0.1, 1.0 / 3,
		math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), 123456789012345678, -1e25, 1e100}
	for range 5000 {
		if f := math.Float64frombits(rnd.Uint64()); !math.IsNaN(f) {
			floats = append(floats, f, math.Round(f), (rnd.Float64()-0.5)*math.Pow(10, float64(rnd.IntN(40)-20)))
		}
	}
	var input bytes.Buffer
	var want []string
	for _, f := range floats {
		s := "d:" + string(phpserial.AppendFloat(nil, f)) + ";"
		want = append(want, s)
		input.WriteString(base64.StdEncoding.EncodeToString([]byte(s)) + "\n")
	}
	for i, got := range php(t, input.Bytes(), "echo.php") {
		if string(got) != want[i] {
			t.Fatalf("%v: got %s, PHP writes %s", floats[i], want[i], got)
		}
	}
}

// PHP and Decode agree on what they refuse, where they should.
func TestPHPRefusesToo(t *testing.T) {
	bad := []string{`x:1;`, `b:2;`, `d:0x10;`, `s:5:"abc";`, `s:1:"ab";`, `a:1:{N;N;}----`, `a:2:{i:0;i:1;i:1;r:2;}`, `a:1:{i:0;r:2;}`, `E:4:"Suit";`, `N`, `a:1:{i:0;R:0;}`}
	var input bytes.Buffer
	for _, s := range bad {
		input.WriteString(base64.StdEncoding.EncodeToString([]byte(s)) + "\n")
		if _, err := phpserial.Decode(s, nil); err == nil {
			t.Errorf("Decode(%q): no error", s)
		}
	}
	for i, got := range php(t, input.Bytes(), "echo.php") {
		if got != nil {
			t.Errorf("PHP reads %q", bad[i])
		}
	}
}

// random returns a tree that PHP's serialize() can write: distinct keys.
func random(rnd *rand.Rand, depth int) any {
	kinds := 7
	if depth > 0 {
		kinds = 10
	}
	switch rnd.IntN(kinds) {
	case 0:
		return nil
	case 1:
		return rnd.IntN(2) == 1
	case 2:
		return int64(rnd.Uint64())
	case 3:
		return rnd.NormFloat64() * math.Pow(10, float64(rnd.IntN(60)-30))
	case 4:
		return []float64{math.Inf(1), math.Inf(-1), math.NaN(), math.Copysign(0, -1), 1e100}[rnd.IntN(5)]
	case 5:
		b := make([]byte, rnd.IntN(12))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return string(b)
	case 6:
		return strings.Repeat("é;", rnd.IntN(3))
	case 7:
		list := make([]any, rnd.IntN(5))
		for i := range list {
			list[i] = random(rnd, depth-1)
		}
		return phpserial.List(list...)
	case 8:
		a := &phpserial.Array{}
		for range rnd.IntN(5) {
			key := phpserial.IntKey(int64(rnd.IntN(50) - 10))
			if rnd.IntN(2) == 0 {
				key = phpserial.StrKey(string(rune('a' + rnd.IntN(20))))
			}
			a.Set(key, random(rnd, depth-1))
		}
		return a
	}
	o := &phpserial.Object{Class: "stdClass"}
	for range rnd.IntN(5) {
		o.Set("p"+string(rune('a'+rnd.IntN(20))), random(rnd, depth-1))
	}
	return o
}
