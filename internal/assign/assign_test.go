package assign_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool/internal/assign"
)

type level string

type inner struct {
	A int `json:"a"`
}

type Embedded struct {
	Shared string `json:"shared"`
	Hidden string `json:"name"`
}

type order struct {
	Embedded
	Name    string            `json:"name"`
	UserID  int64             `json:"user_id"`
	Small   int8              `json:"small"`
	Count   uint              `json:"count"`
	Price   float64           `json:"price"`
	Paid    bool              `json:"paid"`
	Level   level             `json:"level"`
	Tags    []string          `json:"tags"`
	Pair    [2]int            `json:"pair"`
	Inner   inner             `json:"inner"`
	Ptr     *inner            `json:"ptr"`
	Inners  []*inner          `json:"inners"`
	Meta    map[string]string `json:"meta"`
	ByID    map[int]string    `json:"by_id"`
	Any     any               `json:"any"`
	Raw     []byte            `json:"raw"`
	At      time.Time         `json:"at"`
	Addr    netip.Addr        `json:"addr"`
	Big     *big.Int          `json:"big"`
	Rest    json.RawMessage   `json:"rest"`
	Quoted  int               `json:"quoted,string"`
	Num     json.Number       `json:"num"`
	NoTag   string
	Skipped string `json:"-"`
	private string //nolint:unused // a field that must be passed over
}

// What encoding/json accepts, JSON accepts, with the same result.
func TestJSONAgreesWithTheStandardLibrary(t *testing.T) {
	for _, in := range []string{
		`{"name":"x","user_id":7,"small":-128,"count":3,"price":1.5,"paid":true,"level":"high","tags":["a","b"],"pair":[1,2]}`,
		`{"inner":{"a":1},"ptr":{"a":2},"inners":[{"a":3},null],"meta":{"k":"v"},"by_id":{"-5":"x"}}`,
		`{"any":[1,{"x":null,"y":"z"},true],"raw":"aGk=","at":"2026-01-02T03:04:05+02:00","addr":"10.0.0.1"}`,
		`{"big":123456789012345678901234567890,"rest":{"k":[1,2]},"quoted":"12","num":12.50,"notag":"n","NAME":"folded"}`,
		`{"shared":"s","private":"p","Skipped":"x","unknown":{"deep":[1]}}`,
		`{"tags":null,"ptr":null,"any":null,"name":null,"inner":null}`,
		`{}`,
	} {
		var got, want order
		if err := json.Unmarshal([]byte(in), &want); err != nil {
			t.Fatal(err)
		}
		if err := assign.JSON([]byte(in), &got); err != nil {
			t.Errorf("%s: %v", in, err)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(order{}, big.Int{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Errorf("%s: (-json +assign)\n%s", in, d)
		}
	}
}

// What Redis and PHP make of a payload.
func TestJSONIsLenientWhereNeeded(t *testing.T) {
	in := `{"tags":{},"meta":[],"inner":[],"user_id":1.2345678901235e+16,"small":1.0,"count":12e2,"price":3,
		"at":"2026-01-02 03:04:05.5","inners":[{"a":2.0}]}`
	want := order{
		Tags: []string{}, Meta: map[string]string{}, UserID: 12345678901235000, Small: 1, Count: 1200, Price: 3,
		At: time.Date(2026, 1, 2, 3, 4, 5, 5e8, time.UTC), Inners: []*inner{{2}},
	}
	var got order
	if err := assign.JSON([]byte(in), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(order{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestErrorsNameThePath(t *testing.T) {
	for _, tt := range []struct{ in, path, reason string }{
		{`{"user_id":"7"}`, "user_id", "a string doesn't fit int64"},
		{`{"user_id":1.5}`, "user_id", "1.5 is no whole number"},
		{`{"user_id":1e300}`, "user_id", "1e300 is no whole number"},
		{`{"user_id":9223372036854775808}`, "user_id", "9223372036854775808 doesn't fit int64"},
		{`{"small":128}`, "small", "128 doesn't fit int8"},
		{`{"count":-1}`, "count", "-1 doesn't fit uint"},
		{`{"price":"1"}`, "price", "a string doesn't fit float64"},
		{`{"price":1e999}`, "price", "1e999 doesn't fit float64"},
		{`{"paid":1}`, "paid", "a number doesn't fit bool"},
		{`{"name":5}`, "name", "a number doesn't fit string"},
		{`{"name":{"a":1}}`, "name", "a map doesn't fit string"},
		{`{"tags":{"1":"x"}}`, "tags", "a map doesn't fit []string"},
		{`{"tags":["x",5]}`, "tags[1]", "a number doesn't fit string"},
		{`{"inners":[{"a":1},{"a":"x"}]}`, "inners[1].a", "a string doesn't fit int"},
		{`{"inner":[1]}`, "inner", "a list doesn't fit assign_test.inner"},
		{`{"pair":[1,2,3]}`, "pair", "a list of 3 doesn't fit [2]int"},
		{`{"meta":{"k":5}}`, "meta.k", "a number doesn't fit string"},
		{`{"by_id":{"x":"y"}}`, "by_id.x", "x is no whole number"},
		{`{"raw":"%"}`, "raw", "no base64"},
		{`{"at":"yesterday"}`, "at", `"yesterday" is no time`},
		{`{"at":true}`, "at", "a bool is no time"},
		{`{"addr":"x"}`, "addr", "unable to parse IP"},
		{`{"addr":5}`, "addr", "a number doesn't fit netip.Addr"},
		{`[]1`, "", "more than one"},
	} {
		var v order
		err := assign.JSON([]byte(tt.in), &v)
		var e *assign.Error
		if !errors.As(err, &e) || e.Path != tt.path || !strings.Contains(e.Reason, tt.reason) {
			t.Errorf("%s: got error %v, want %s: %s", tt.in, err, tt.path, tt.reason)
		}
	}
}

func TestIntoNeedsAPointer(t *testing.T) {
	for _, v := range []any{nil, order{}, (*order)(nil)} {
		if err := assign.JSON([]byte(`{}`), v); err == nil {
			t.Errorf("%T: no error", v)
		}
	}
}

func TestEmbeddedFieldsAsTheStandardLibraryHasThem(t *testing.T) {
	type A struct {
		X int
		Y int
	}
	type B struct {
		X int
		Y int `json:"Y"`
	}
	type loop struct {
		*A
		N int `json:"n"`
	}
	type both struct {
		A
		B
		Named A `json:"named"`
	}
	for _, dst := range []func() any{func() any { return new(both) }, func() any { return new(loop) }} {
		in := []byte(`{"X":1,"Y":2,"n":3,"named":{"X":4}}`)
		got, want := dst(), dst()
		if err := json.Unmarshal(in, want); err != nil {
			t.Fatal(err)
		}
		if err := assign.JSON(in, got); err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(loop{})); d != "" {
			t.Errorf("%T (-json +assign)\n%s", got, d)
		}
	}
}

// php is a Node for tests: an array, or an object if it has a class.
type php struct {
	class  string
	names  []string
	values []any
	self   *php
}

func (p *php) Class() string          { return p.class }
func (p *php) Len() int               { return len(p.names) }
func (p *php) At(i int) (string, any) { return p.names[i], p.values[i] }
func (p *php) List() bool {
	for i, n := range p.names {
		if n != fmt.Sprint(i) {
			return false
		}
	}
	return true
}

func (p *php) Identity() (any, bool) {
	if p.self != nil {
		return p.self, true
	}
	return p, false
}

func obj(class string, namesAndValues ...any) *php {
	p := &php{class: class}
	for i := 0; i < len(namesAndValues); i += 2 {
		p.names = append(p.names, namesAndValues[i].(string))
		p.values = append(p.values, namesAndValues[i+1])
	}
	return p
}

func again(p *php) *php { return &php{class: p.class, self: p} }

func TestPHP(t *testing.T) {
	carbon := obj(`Carbon\Carbon`, "date", assign.Raw("2026-01-02 03:04:05.000000"), "timezone_type", int64(3), "timezone", assign.Raw("Europe/Berlin"))
	offset := obj(`DateTimeImmutable`, "date", assign.Raw("2024-02-29 12:34:56.789012"), "timezone_type", int64(1), "timezone", assign.Raw("+02:00"))
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no zone files:", err)
	}
	for _, tt := range []struct {
		name string
		src  any
		want any
	}{
		{"names but for case and underscores", obj("Job", "userId", int64(5)), struct {
			UserID int `json:"user_id"`
		}{5}},
		{"the best name wins", obj("Job", "user_id", int64(1), "USERID", int64(2), "UserID", int64(3)), struct{ UserID int }{3}},
		{"raw bytes", assign.Raw("\xff\x00"), []byte("\xff\x00")},
		{"raw bytes as a string", assign.Raw("\xff"), "\xff"},
		{"list", obj("", "0", int64(1), "1", int64(2)), []int{1, 2}},
		{"empty array as a slice", obj(""), []int{}},
		{"empty array as a map", obj(""), map[string]int{}},
		{"list as a map", obj("", "0", assign.Raw("x")), map[int]string{0: "x"}},
		{"array with gaps as a map", obj("", "5", assign.Raw("x")), map[int]string{5: "x"}},
		{"zone by name", carbon, time.Date(2026, 1, 2, 3, 4, 5, 0, berlin)},
		{"zone by offset", offset, time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.FixedZone("", 7200))},
		{"unix seconds", int64(5), time.Unix(5, 0).UTC()},
		{"unix with a fraction", 5.25, time.Unix(5, 25e7).UTC()},
		{"whole float", 2.0, 2},
		{"int as float", int64(2), 2.0},
		{"natural types", obj("", "i", int64(1), "f", 1.5, "s", assign.Raw("x"), "l", obj("", "0", nil)),
			map[string]any{"i": int64(1), "f": 1.5, "s": "x", "l": []any{nil}}},
		{"JSON of a tree", obj("X", "k", carbon), json.RawMessage(`{"k":"2026-01-02T03:04:05+01:00"}`)},
	} {
		got := reflect.New(reflect.TypeOf(tt.want))
		if err := assign.PHP(tt.src, got.Interface()); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if d := cmp.Diff(tt.want, got.Elem().Interface()); d != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.name, d)
		}
	}
}

func TestPHPErrors(t *testing.T) {
	zone := obj(`Carbon\Carbon`, "date", assign.Raw("2026-01-02 03:04:05.000000"), "timezone_type", int64(2), "timezone", assign.Raw("NOWHERE"))
	for _, tt := range []struct {
		src    any
		dst    any
		reason string
	}{
		{zone, new(time.Time), `time zone "NOWHERE" is unknown here`},
		{obj(`App\Models\User`, "id", int64(1)), new(time.Time), `an object of class App\Models\User is no time`},
		{obj(`App\X`, "a", nil), new(string), `an object of class App\X doesn't fit string`},
		{obj("", "1", int64(1)), new([]int), "a map doesn't fit []int"},
		{assign.Raw("1"), new(int), "a string doesn't fit int"},
		{obj("", "0", nil), new(map[string]int), "a list doesn't fit map[string]int"},
		{true, new(chan int), "a bool doesn't fit chan int"},
		{obj("", "a", nil), new(fmt.Stringer), "a map doesn't fit fmt.Stringer"},
	} {
		if err := assign.PHP(tt.src, tt.dst); err == nil || !strings.Contains(err.Error(), tt.reason) {
			t.Errorf("into %T: got error %v, want %s", tt.dst, err, tt.reason)
		}
	}
}

func TestRender(t *testing.T) {
	got, err := assign.Render(obj("Job",
		"s", assign.Raw("a/b \"q\" \\ \n\x01 é\u2028 \xff"), "e", obj(""), "o", obj("X", "k", true), "l", obj("", "0", 1.0, "1", 1e-7, "2", int64(-3)), "n", nil))
	want := `{"s":"a/b \"q\" \\ \n\u0001 é` + "\u2028 \ufffd" + `","e":[],"o":{"k":true},"l":[1,1e-07,-3],"n":null}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
	if !json.Valid(got) {
		t.Error("no valid JSON")
	}
}

func TestCirclesReadAsNull(t *testing.T) {
	type node struct {
		Name   string
		Parent *node
		Kids   []node
	}
	parent := obj("Node", "name", assign.Raw("p"))
	kid := obj("Node", "name", assign.Raw("k"), "parent", again(parent))
	parent.names, parent.values = append(parent.names, "kids"), append(parent.values, obj("", "0", kid))
	var got node
	if err := assign.PHP(parent, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(node{Name: "p", Kids: []node{{Name: "k"}}}, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	text, err := assign.Render(parent)
	if err != nil || string(text) != `{"name":"p","kids":[{"name":"k","parent":null}]}` {
		t.Errorf("Render: %s, %v", text, err)
	}
	var v any
	if err := assign.PHP(parent, &v); err != nil {
		t.Error(err)
	}
}

// Forty levels that each hold the one below twice unfold to a trillion values.
func TestReferencesThatUnfoldAreBounded(t *testing.T) {
	o := obj("X")
	for range 40 {
		twice := &php{class: "X", names: o.names, values: o.values, self: o}
		o = obj("X", "a", o, "b", twice)
	}
	start := time.Now()
	var v any
	if err := assign.PHP(o, &v); err == nil || !strings.Contains(err.Error(), "too much data") {
		t.Errorf("PHP: got error %.200v", err)
	}
	if _, err := assign.Render(o); err == nil || !strings.Contains(err.Error(), "too much data") {
		t.Errorf("Render: got error %.200v", err)
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("took %v", d)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add(`{"name":"x","user_id":7,"tags":{},"any":[1,{"x":null}],"at":"2026-01-02","rest":[1]}`)
	f.Add(`{"small":1.20e1,"count":0e5,"price":-0.0,"inners":[{"a":1}],"by_id":{"1":"x"}}`)
	f.Fuzz(func(t *testing.T, in string) {
		var got, want order
		strict := json.Unmarshal([]byte(in), &want)
		lenient := assign.JSON([]byte(in), &got)
		if strict == nil && lenient != nil {
			t.Errorf("%q: encoding/json takes it, but: %v", in, lenient)
		}
	})
}
