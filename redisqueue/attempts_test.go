package redisqueue

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/spoolq/spool/internal/testserver"
)

// raise has the server count an attempt in each document, as Reserve does.
func raise(t testing.TB, client rueidis.Client, docs []string) []raised {
	t.Helper()
	s := newScript(attemptsLua + `
local out = {}
for i = 1, #ARGV do out[2 * i - 1], out[2 * i] = raise(ARGV[i]) end
return out`)
	c := &Conn{client: client}
	answer, err := c.run(context.Background(), s, nil, docs).ToArray()
	if err != nil {
		t.Fatalf("raise: %v in one of %q", err, docs)
	}
	out := make([]raised, len(docs))
	for i := range out {
		r, err := reservation(&answer[2*i], &answer[2*i+1], "1")
		if err != nil {
			t.Fatalf("raise of %q: %v", docs[i], err)
		}
		out[i] = raised{r.Receipt.(*receipt).member, r.Attempts}
		if got := string(r.Body); got != docs[i] {
			t.Errorf("the body is %q, want the original %q", got, docs[i])
		}
		if got := r.Receipt.(*receipt).original(); got != docs[i] {
			t.Errorf("undone, the payload is %q, want %q", got, docs[i])
		}
	}
	return out
}

type raised struct {
	member   string
	attempts int
}

// reference is what raise should do, by way of encoding/json.
func reference(doc string) raised {
	trimmed := strings.TrimLeft(doc, " \t\r\n")
	if !json.Valid([]byte(doc)) || !strings.HasPrefix(trimmed, "{") {
		return raised{doc, 1}
	}
	dec := json.NewDecoder(strings.NewReader(doc))
	mustToken(dec)
	from, to, members := -1, -1, 0
	for dec.More() {
		key := mustToken(dec)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			panic(err)
		}
		members++
		if key == "attempts" {
			to = int(dec.InputOffset())
			from = to - len(value)
			if c := value[0]; c == '{' || c == '[' {
				from = -1
			}
		}
	}
	if from < 0 {
		at := strings.LastIndexByte(doc, '}')
		insert := `"attempts":1`
		if members > 0 {
			insert = "," + insert
		}
		return raised{doc[:at] + insert + doc[at:], 1}
	}
	n := 0.0
	if f, err := strconv.ParseFloat(strings.ReplaceAll(doc[from:to], `"`, ""), 64); err == nil || f > 0 {
		n = max(0, min(999999999, math.Floor(f)))
	}
	return raised{doc[:from] + strconv.Itoa(int(n)+1) + doc[to:], int(n) + 1}
}

func mustToken(dec *json.Decoder) json.Token {
	tok, err := dec.Token()
	if err != nil {
		panic(err)
	}
	return tok
}

func TestAttemptsAreRaisedInPlace(t *testing.T) {
	client := open(t, testserver.Redis(t))
	deep := strings.Repeat("[", 999) + strings.Repeat("]", 999)
	deeper := strings.Repeat("[", 3000) + strings.Repeat("]", 3000)
	for _, tt := range []struct{ name, doc, want string }{
		{"Laravel 8", `{"id":"x","attempts":0}`, `{"id":"x","attempts":1}`},
		{"Laravel 13", `{"id":"x","attempts":9,"delay":null}`, `{"id":"x","attempts":10,"delay":null}`},
		{"Horizon", `{"id":"x","attempts":0,"type":"job","tags":["App\\Models\\User:1"],"silenced":false,"pushedAt":"1795174105.1234"}`,
			`{"id":"x","attempts":1,"type":"job","tags":["App\\Models\\User:1"],"silenced":false,"pushedAt":"1795174105.1234"}`},
		{"first key", `{"attempts":0,"data":{"a":[1,{"b":2}]},"s":"}{"}`, `{"attempts":1,"data":{"a":[1,{"b":2}]},"s":"}{"}`},
		{"only in data", `{"data":{"attempts":3}}`, `{"data":{"attempts":3},"attempts":1}`},
		{"in data and behind it", `{"data":{"attempts":3},"attempts":0}`, `{"data":{"attempts":3},"attempts":1}`},
		{"in data and before it", `{"attempts":0,"data":{"attempts":3}}`, `{"attempts":1,"data":{"attempts":3}}`},
		{"in data with a space before it", `{"attempts" : 0,"data":{"attempts":3}}`, `{"attempts" : 1,"data":{"attempts":3}}`},
		{"inside a string", `{"data":"{\"attempts\":3}","attempts":0,"x":1}`, `{"data":"{\"attempts\":3}","attempts":1,"x":1}`},
		{"as a value", `{"attempts":4,"name":"attempts"}`, `{"attempts":5,"name":"attempts"}`},
		{"as a value behind", `{"x":["attempts"],"attempts":4 , "name":"attempts" }`, `{"x":["attempts"],"attempts":5 , "name":"attempts" }`},
		{"end of a longer key", `{"a\"attempts":7,"b":1}`, `{"a\"attempts":7,"b":1,"attempts":1}`},
		{"end of a longer key at the end", `{"a,\"attempts":7}`, `{"a,\"attempts":7,"attempts":1}`},
		{"last duplicate wins", `{"attempts":1,"attempts":5}`, `{"attempts":1,"attempts":6}`},
		{"last duplicate wins, spread", `{"attempts":1,"a":{},"attempts":5,"b":"]"}`, `{"attempts":1,"a":{},"attempts":6,"b":"]"}`},
		{"spelled with an escape", `{"attempts":1,"attempt\u0073":5}`, `{"attempts":1,"attempt\u0073":6}`},
		{"spaces", "{ \"attempts\" :\t3 \n}\n", "{ \"attempts\" :\t4 \n}\n"},
		{"float", `{"attempts":3.0,"a":1}`, `{"attempts":4,"a":1}`},
		{"exponent", `{"attempts":2e1}`, `{"attempts":21}`},
		{"null", `{"attempts":null}`, `{"attempts":1}`},
		{"true", `{"attempts":true,"a":1}`, `{"attempts":1,"a":1}`},
		{"string", `{"attempts":"3"}`, `{"attempts":4}`},
		{"string that is no number", `{"attempts":"many","a":0}`, `{"attempts":1,"a":0}`},
		{"negative", `{"attempts":-5}`, `{"attempts":1}`},
		{"huge", `{"attempts":123456789012345678901234567890}`, `{"attempts":1000000000}`},
		{"largest", `{"attempts":1000000000}`, `{"attempts":1000000000}`},
		{"nine digits", `{"attempts":123456789}`, `{"attempts":123456790}`},
		{"eight nines", `{"attempts":99999999}`, `{"attempts":100000000}`},
		{"an object", `{"attempts":{"attempts":1}}`, `{"attempts":{"attempts":1},"attempts":1}`},
		{"an array", `{"attempts":[],"a":1}`, `{"attempts":[],"a":1,"attempts":1}`},
		{"empty object", `{}`, `{"attempts":1}`},
		{"empty object with spaces", " { } ", ` { "attempts":1} `},
		{"no attempts", `{"job":"a@b","data":[]}`, `{"job":"a@b","data":[],"attempts":1}`},
		{"as deep as PHP goes", `{"d":` + deep + `,"x":{"attempts":1},"attempts":2}`, `{"d":` + deep + `,"x":{"attempts":1},"attempts":3}`},
		{"deeper than PHP goes", `{"attempts":2,"d":` + deeper + `}`, `{"attempts":3,"d":` + deeper + `}`},
		{"bytes that are not text", "{\"data\":\"\xff\xfe\",\"attempts\":0,\"z\":\"\xff\"}", "{\"data\":\"\xff\xfe\",\"attempts\":1,\"z\":\"\xff\"}"},
		{"not JSON", `hello`, `hello`},
		{"empty", ``, ``},
		{"an array document", `[{"attempts":1}]`, `[{"attempts":1}]`},
		{"a number", `17`, `17`},
		{"cut off", `{"attempts":1,"a":"`, `{"attempts":1,"a":"`},
		{"cut off without", `{"a":1`, `{"a":1`},
		{"two documents", `{"a":1}{"b":2}`, `{"a":1}{"b":2}`},
		{"closed wrongly", `{"a":[1}`, `{"a":[1}`},
		{"a NUL inside", "{\"a\":\"\x00\",\"attempts\":1,\"b\":2}", "{\"a\":\"\x00\",\"attempts\":2,\"b\":2}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := raise(t, client, []string{tt.doc})[0]
			if got.member != tt.want {
				t.Errorf("raised, the payload is\n%.200q, want\n%.200q", got.member, tt.want)
			}
			if ref := reference(tt.doc); json.Valid([]byte(tt.doc)) && got != ref {
				t.Errorf("got %.200v, the reference says %.200v", got, ref)
			}
		})
	}
}

// A writer makes random JSON that is hard on anything that looks at text.
type writer struct {
	*rand.Rand
	b bytes.Buffer
}

func (w *writer) pick(from ...string) string { return from[w.IntN(len(from))] }

func (w *writer) space() {
	if w.IntN(8) == 0 {
		w.b.WriteString(w.pick(" ", "\n", "\t ", "\r\n"))
	}
}

func (w *writer) text() {
	w.b.WriteByte('"')
	for range w.IntN(5) {
		w.b.WriteString(w.pick(`a`, `attempts`, `\"`, `\\`, `\"attempts\":3`, `{`, `}`, `[`, `]`, `,`, `:`, `中`, `\u0000`,
			`\u0061ttempts`, `\/`, `'`, `\\\"attempts\\\":7}`, `,\"attempts\":0}`, "%", "%b{}"))
	}
	w.b.WriteByte('"')
}

func (w *writer) key() {
	if w.IntN(3) > 0 {
		w.text()
		return
	}
	w.b.WriteString(w.pick(`"attempts"`, `"attempts"`, `"attempts"`, `"\u0061ttempts"`, `"attempt\u0073"`, `"x\"attempts"`,
		`"attempts "`, `"Attempts"`, `"\\attempts"`, `"id"`))
}

func (w *writer) value(depth int) {
	switch n := w.IntN(12); {
	case n < 2 && depth < 5:
		w.object(depth + 1)
	case n < 3 && depth < 5:
		w.b.WriteByte('[')
		for i := range w.IntN(4) {
			if i > 0 {
				w.b.WriteByte(',')
			}
			w.space()
			w.value(depth + 1)
			w.space()
		}
		w.b.WriteByte(']')
	case n < 6:
		w.text()
	case n < 9:
		w.b.WriteString(strconv.Itoa(w.IntN(130)))
	default:
		w.b.WriteString(w.pick("0", "null", "true", "false", "3.0", "-7", "1e3", "0.5", "12345678901234567", "99999999", `"3"`, `"0"`, "[]", "{}", "-0"))
	}
}

func (w *writer) object(depth int) {
	w.b.WriteByte('{')
	w.space()
	for i := range w.IntN(6) {
		if i > 0 {
			w.b.WriteByte(',')
			w.space()
		}
		w.key()
		w.space()
		w.b.WriteByte(':')
		w.space()
		w.value(depth)
		w.space()
	}
	w.b.WriteByte('}')
}

func (w *writer) document() string {
	w.b.Reset()
	w.space()
	w.object(0)
	w.space()
	return w.b.String()
}

func TestAttemptsAreRaisedAsTheReferenceDoes(t *testing.T) {
	client := open(t, testserver.Redis(t))
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	seed := rand.Uint64()
	w := &writer{Rand: rand.New(rand.NewPCG(seed, 0))}
	counted := 0
	for range rounds {
		docs := make([]string, 500)
		for i := range docs {
			docs[i] = w.document()
		}
		for i, got := range raise(t, client, docs) {
			want := reference(docs[i])
			if got != want {
				t.Fatalf("seed %d: %q\ngot  %+v\nwant %+v", seed, docs[i], got, want)
			}
			if got.attempts > 1 {
				counted++
			}
		}
	}
	if counted < rounds {
		t.Errorf("only %d of %d documents had a counter: the generator is no good", counted, rounds*500)
	}
}

// Damaged documents may be counted or not, but they never fail the script, and
// what was done can always be undone (which raise checks).
func TestAttemptsOfDamagedDocuments(t *testing.T) {
	client := open(t, testserver.Redis(t))
	seed := rand.Uint64()
	w := &writer{Rand: rand.New(rand.NewPCG(seed, 1))}
	for range 20 {
		docs := make([]string, 500)
		for i := range docs {
			b := []byte(w.document())
			for range 1 + w.IntN(3) {
				switch at := w.IntN(len(b)); w.IntN(3) {
				case 0:
					b = b[:at+1]
				case 1:
					b[at] = byte(w.IntN(256))
				default:
					b[at] = w.pick(`"`, `\`, `{`, `}`, `[`, `]`, `,`, `:`)[0]
				}
			}
			docs[i] = string(b)
		}
		for i, got := range raise(t, client, docs) {
			if got.attempts < 1 {
				t.Errorf("seed %d: %q has %d attempts", seed, docs[i], got.attempts)
			}
		}
	}
}

// FuzzRaise compares the script with the reference on documents of any kind.
func FuzzRaise(f *testing.F) {
	f.Add(`{"id":"x","attempts":0}`)
	f.Add(`{"attempts":0,"data":{"attempts":3}}`)
	f.Add(`{"attempts":1,"attempt\u0073":5}`)
	f.Add(`[1,"attempts"]`)
	client := open(f, testserver.Redis(f))
	f.Fuzz(func(t *testing.T, doc string) {
		got := raise(t, client, []string{doc})[0]
		if !json.Valid([]byte(doc)) {
			return
		}
		// Go and cjson disagree about lone surrogates and the like, which only
		// decides whether a counter is appended.
		if want := reference(doc); got != want && got != (raised{doc, 1}) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// BenchmarkRaise compares the in-place edit with decoding and encoding again,
// by the server's own clock.
func BenchmarkRaise(b *testing.B) {
	client := open(b, testserver.Redis(b))
	const baseline = `
raise = function(s) local d = cjson.decode(s) d.attempts = d.attempts + 1 return cjson.encode(d) end`
	const loop = `
local t = redis.call('TIME')
for i = 1, tonumber(ARGV[2]) do raise(ARGV[1]) end
local u = redis.call('TIME')
return (u[1] - t[1]) * 1000000 + u[2] - t[2]`
	for _, doc := range []struct{ name, text string }{
		{"laravel8", envelope(1)},
		{"laravel13", strings.TrimSuffix(envelope(1), "}") + `,"delay":null}`},
		{"anywhere", `{"attempts":3,` + envelope(1)[1:len(envelope(1))-len(`,"attempts":0}`)] + `}`},
		{"1MB", `{"attempts":0,"data":[` + strings.Repeat(`{"k":"v\\w\"","n":[1,2,3]},`, 40000) + `0]}`},
	} {
		for _, how := range []struct {
			name string
			s    script
		}{{"raise", newScript(attemptsLua + loop)}, {"cjson", newScript(attemptsLua + baseline + loop)}} {
			b.Run(doc.name+"/"+how.name, func(b *testing.B) {
				c := &Conn{client: client}
				n := 1 + 2_000_000/len(doc.text)
				var us int64
				for b.Loop() {
					d, err := c.run(context.Background(), how.s, nil, []string{doc.text, strconv.Itoa(n)}).ToInt64()
					if err != nil {
						b.Fatal(err)
					}
					us += d
				}
				b.ReportMetric(float64(us)/float64(b.N*n), "server-µs/job")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
