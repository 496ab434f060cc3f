package phpserial_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spoolq/spool/laravel/phpserial"
)

func TestDecode(t *testing.T) {
	prop := func(name string, v any) phpserial.Prop { return phpserial.Prop{Name: name, Value: v} }
	for _, tt := range []struct {
		in   string
		want any
	}{
		{`N;`, nil},
		{`b:1;`, true},
		{`b:0;`, false},
		{`i:-7;`, int64(-7)},
		{`i:9223372036854775807;`, int64(math.MaxInt64)},
		{`i:-9223372036854775808;`, int64(math.MinInt64)},
		{`d:1.5;`, 1.5},
		{`d:100;`, 100.0},
		{`d:1.0E+100;`, 1e100},
		{`d:-2.5E-7;`, -2.5e-7},
		{`d:INF;`, math.Inf(1)},
		{`d:-INF;`, math.Inf(-1)},
		{`d:NAN;`, math.NaN()},
		{`s:0:"";`, ""},
		{`s:2:"é";`, "é"},
		{`s:4:"";}"";`, `";}"`},
		{"s:2:\"\x00\xff\";", "\x00\xff"},
		{`a:0:{}`, &phpserial.Array{}},
		{`a:2:{i:0;i:5;s:1:"k";b:1;}`, &phpserial.Array{Entries: []phpserial.Entry{
			{Key: phpserial.IntKey(0), Value: int64(5)},
			{Key: phpserial.StrKey("k"), Value: true},
		}}},
		{`a:1:{s:2:"12";N;}`, &phpserial.Array{Entries: []phpserial.Entry{{Key: phpserial.IntKey(12)}}}},
		{"O:3:\"A\\B\":4:{s:1:\"x\";i:1;s:4:\"\x00*\x00y\";i:2;s:6:\"\x00A\\B\x00z\";i:3;i:4;N;}", &phpserial.Object{
			Class: `A\B`,
			Props: []phpserial.Prop{
				prop("x", int64(1)),
				{Name: "y", Visibility: phpserial.Protected, Value: int64(2)},
				{Name: "z", Visibility: phpserial.Private, Class: `A\B`, Value: int64(3)},
				{Name: "4", Index: true},
			},
		}},
		{`E:11:"Suit:Hearts";`, &phpserial.Enum{Class: "Suit", Case: "Hearts"}},
		{`C:3:"Old":5:{x:{};}`, &phpserial.Custom{Class: "Old", Data: "x:{};"}},
	} {
		got, err := phpserial.Decode(tt.in, nil)
		if err != nil {
			t.Errorf("Decode(%q): %v", tt.in, err)
			continue
		}
		if d := cmp.Diff(tt.want, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("Decode(%q): (-want +got)\n%s", tt.in, d)
		}
	}
}

func TestDecodeReferences(t *testing.T) {
	// Slots: 1 the array, 2 the object, 3 its x, 4 the same object, 5 its place
	// again as a reference, which takes none.
	v, err := phpserial.Decode(`a:4:{i:0;O:1:"A":1:{s:1:"x";i:5;}i:1;r:2;i:2;R:3;i:3;R:2;}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := v.(*phpserial.Array)
	o := a.Entries[0].Value.(*phpserial.Object)
	if r := a.Entries[1].Value.(*phpserial.Ref); r.To != o || r.Hard {
		t.Errorf("entry 1 is %+v, want the object again", r)
	}
	if r := a.Entries[3].Value.(*phpserial.Ref); r.To != o || !r.Hard {
		t.Errorf("entry 3 is %+v, want a hard reference to the object", r)
	}
	shared := o.Props[0].Value.(*phpserial.Shared)
	if r := a.Entries[2].Value.(*phpserial.Ref); r.To != shared || !r.Hard || shared.Value != int64(5) {
		t.Errorf("entry 2 is %+v, want a hard reference to 5", r)
	}
	if got, _ := o.Get("x"); got != int64(5) {
		t.Errorf("x is %v, want 5", got)
	}
	if got, _ := a.Get(phpserial.IntKey(1)); got != o {
		t.Errorf("Get(1) is %v, want the object", got)
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, tt := range []struct {
		in     string
		offset int
		reason string
	}{
		{``, 0, "unexpected end"},
		{`x`, 0, "no value"},
		{`x:1;`, 0, "no value of type 'x'"},
		{`N`, 1, `no ';'`},
		{`N;N;`, 2, "2 bytes too many"},
		{`b:2;`, 2, "no bool"},
		{`i:;`, 2, "no integer"},
		{`i:9223372036854775808;`, 2, "no integer of 64 bits"},
		{`d:0x10;`, 2, "no float"},
		{`d:Infinity;`, 2, "no float"},
		{`d:;`, 2, "no float"},
		{`s:5:"abc";`, 5, "longer than the input"},
		{`s:99999999999:"a";`, 2, "more than the input"},
		{`s:-1:"a";`, 2, "no length"},
		{`s:1:"ab";`, 6, `no '"'`},
		{`s:1:"a"`, 7, `no ';'`},
		{`a:3:{i:0;N;}`, 2, "more than the input"},
		{`a:1000000000:{i:0;N;}`, 2, "more than the input"},
		{`a:1:{N;N;}----`, 5, "no key"},
		{`a:1:{i:0;N;i:1;N;}`, 11, "no '}'"},
		{`O:0:"":0:{}`, 2, "no class name"},
		{"O:3:\"a\x00b\":0:{}", 2, "no class name"},
		{"O:1:\"A\":1:{s:2:\"\x00x\";N;}", 11, "no property name"},
		{"O:1:\"A\":1:{s:3:\"\x00\x00x\";N;}", 11, "no property name"},
		{`E:4:"Suit";`, 2, "no enum case"},
		{`C:1:"A":3:{x}`, 11, "longer than the input"},
		{`C:1:"A":1:{xy}`, 12, "no '}'"},
		{`R:1;`, 2, "reference to value 1 of 0"},
		{`a:1:{i:0;r:2;}`, 11, "reference to value 2 of 1"},
		{`a:1:{i:0;R:0;}`, 11, "reference to value 0"},
		{`a:1:{i:0;R:-1;}`, 11, "reference to value -1"},
		{`a:2:{i:0;i:1;i:1;r:2;}`, 19, "which is no object"},
		{`a:1:{i:0;r:1;}`, 11, "which is no object"},
		{`a:3:{i:0;C:1:"A":1:{x}i:1;O:1:"B":0:{}i:2;r:3;}`, 44, "past an object of its own format"},
	} {
		_, err := phpserial.Decode(tt.in, nil)
		var e *phpserial.Error
		if !errors.As(err, &e) || e.Offset != tt.offset || !strings.Contains(e.Reason, tt.reason) {
			t.Errorf("Decode(%q): got error %v, want %q at byte %d", tt.in, err, tt.reason, tt.offset)
		}
	}
}

func TestDecodeLimits(t *testing.T) {
	nested := func(n int) string {
		return strings.Repeat("a:1:{i:0;", n) + "N;" + strings.Repeat("}", n)
	}
	for _, tt := range []struct {
		name, in string
		opt      *phpserial.Options
		ok       bool
	}{
		{"default depth", nested(4096), nil, true},
		{"one level deeper", nested(4097), nil, false},
		{"depth 2", nested(2), &phpserial.Options{MaxDepth: 2}, true},
		{"depth 3 of 2", nested(3), &phpserial.Options{MaxDepth: 2}, false},
		{"siblings don't nest", `a:3:{i:0;a:0:{}i:1;a:0:{}i:2;a:0:{}}`, &phpserial.Options{MaxDepth: 2}, true},
		{"3 values", `a:2:{i:0;N;i:1;N;}`, &phpserial.Options{MaxValues: 3}, true},
		{"3 values of 2", `a:2:{i:0;N;i:1;N;}`, &phpserial.Options{MaxValues: 2}, false},
		{"4 bytes", `b:1;`, &phpserial.Options{MaxBytes: 4}, true},
		{"4 bytes of 3", `b:1;`, &phpserial.Options{MaxBytes: 3}, false},
	} {
		if _, err := phpserial.Decode(tt.in, tt.opt); (err == nil) != tt.ok {
			t.Errorf("%s: got error %v, want ok %v", tt.name, err, tt.ok)
		}
	}
}

// Nested counts that each fit the rest of the input must not add up to memory.
func TestDecodeClaimsCostNothing(t *testing.T) {
	in := strings.Repeat("a:10000:{i:0;", 4000) + strings.Repeat("N", 60000)
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := phpserial.Decode(in, nil); err == nil {
				b.Fatal("no error")
			}
		}
	}).AllocedBytesPerOp()
	if allocated > 8<<20 {
		t.Errorf("%d bytes allocated for an input of %d", allocated, len(in))
	}
}

func TestAppendGoValues(t *testing.T) {
	type name string
	n := 5
	for _, tt := range []struct {
		in   any
		want string
	}{
		{7, `i:7;`},
		{uint8(7), `i:7;`},
		{name("x"), `s:1:"x";`},
		{[]byte("\xff"), "s:1:\"\xff\";"},
		{&n, `i:5;`},
		{(*int)(nil), `N;`},
		{float32(0.1), `d:0.1;`},
		{[]int(nil), `N;`},
		{[]string{"a", "b"}, `a:2:{i:0;s:1:"a";i:1;s:1:"b";}`},
		{[2]bool{true}, `a:2:{i:0;b:1;i:1;b:0;}`},
		{map[string]any{"b": 1, "a": nil, "10": 2, "9": 3}, `a:4:{i:9;i:3;i:10;i:2;s:1:"a";N;s:1:"b";i:1;}`},
		{map[int]string{2: "x", -1: "y"}, `a:2:{i:-1;s:1:"y";i:2;s:1:"x";}`},
		{phpserial.List(1, nil), `a:2:{i:0;i:1;i:1;N;}`},
		{&phpserial.Object{Class: "A", Props: []phpserial.Prop{{Name: "p", Visibility: phpserial.Private}}}, "O:1:\"A\":1:{s:4:\"\x00A\x00p\";N;}"},
	} {
		got, err := phpserial.Encode(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("Encode(%#v) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	circle := []any{nil, nil}
	circle[0], circle[1] = circle, circle
	around := &phpserial.Object{Class: "A"}
	around.Set("me", around)
	for _, v := range []any{
		struct{}{}, make(chan int), uint64(math.MaxUint64), map[float64]int{1: 1}, circle, around,
		&phpserial.Object{}, &phpserial.Ref{To: 5},
		&phpserial.Object{Class: "A", Props: []phpserial.Prop{{Name: "\x00*\x00x"}}},
		&phpserial.Object{Class: "A", Props: []phpserial.Prop{{Name: "x", Index: true}}},
	} {
		dst := []byte("kept")
		if got, err := phpserial.Append(dst, v); err == nil || string(got) != "kept" {
			t.Errorf("Append(%T) = %q, %v, want an error", v, got, err)
		}
	}
}

// References are numbered anew when the tree has changed.
func TestAppendRenumbers(t *testing.T) {
	v, err := phpserial.Decode(`a:3:{i:0;N;i:1;O:1:"A":0:{}i:2;r:3;}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	a := v.(*phpserial.Array)
	a.Entries[0].Value = phpserial.List(1, 2)
	if got, _ := phpserial.Encode(a); got != `a:3:{i:0;a:2:{i:0;i:1;i:1;i:2;}i:1;O:1:"A":0:{}i:2;r:5;}` {
		t.Errorf("with a longer value before: %s", got)
	}
	a.Entries = append(a.Entries[2:], a.Entries[2])
	if got, _ := phpserial.Encode(a); got != `a:2:{i:2;O:1:"A":0:{}i:2;r:2;}` {
		t.Errorf("without the object itself: %s", got)
	}
}

func TestObjectGetPrefersItsOwnProperty(t *testing.T) {
	o := &phpserial.Object{Class: "Child", Props: []phpserial.Prop{
		{Name: "x", Visibility: phpserial.Private, Class: "Child", Value: int64(1)},
		{Name: "x", Visibility: phpserial.Private, Class: "Parent", Value: int64(2)},
		{Name: "y", Visibility: phpserial.Private, Class: "Parent", Value: int64(3)},
	}}
	if got, _ := o.Get("x"); got != int64(1) {
		t.Errorf("x is %v, want the child's 1", got)
	}
	if got, _ := o.Get("y"); got != int64(3) {
		t.Errorf("y is %v, want the parent's 3", got)
	}
	if _, ok := o.Get("z"); ok {
		t.Error("there is no z")
	}
}
