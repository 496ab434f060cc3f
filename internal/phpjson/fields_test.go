package phpjson

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// check compares the walk with encoding/json.
func check(t *testing.T, b []byte) {
	t.Helper()
	got := map[string]string{}
	err := Fields(b, func(key string, at int, v []byte) error {
		if string(b[at:at+len(v)]) != string(v) {
			t.Errorf("%.200q: the value of %q is not at %d", b, key, at)
		}
		got[key] = string(v)
		return nil
	})
	var want map[string]json.RawMessage
	valid := json.Unmarshal(b, &want) == nil && want != nil && utf8.Valid(b)
	if valid != (err == nil) {
		t.Fatalf("%.200q: got error %v, encoding/json finds it valid: %v", b, err, valid)
	}
	if !valid {
		return
	}
	if len(got) != len(want) {
		t.Errorf("%.200q: got %v, want %s", b, got, want)
	}
	for k, v := range want {
		if got[k] != string(v) {
			t.Errorf("%.200q: %q is %q, want %s", b, k, got[k], v)
		}
	}
}

func samples() []string {
	deep := strings.Repeat("[", 9998) + strings.Repeat("]", 9998)
	return []string{
		`{}`, ` { } `, `{"a":1}`, "\t{\"a\" : [ ] , \r\n\"b\":{ }}", `{"a":{"b":[1,-2.5e+10,0,true,false,null,"x"]},"a":2}`,
		`{"uuid":"x","data":{"attempts":3,"s":"}]\\\"{"},"attempts":0}`, `{"\u0061":"\u00e4\ud83d\ude00\/","ä":"ö"}`, `{"":""}`,
		`{"a":0.5,"b":-0,"c":1E5,"d":1e-5}`, `{"a":` + deep + `}`, `{"a":[` + deep + `]}`, `{"a":[[` + deep + `]]}`,
		``, ` `, `{`, `}`, `[]`, `null`, `1`, `"{}"`, `{} x`, `{}}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{a:1}`,
		`{"a":01}`, `{"a":+1}`, `{"a":.5}`, `{"a":1.}`, `{"a":1e}`, `{"a":-}`, `{"a":tru}`, `{"a":nullx}`, `{"a":"\x"}`, `{"a":"\u12g4"}`,
		`{"a":"\u12`, "{\"a\":\"\n\"}", "{\"a\":\"\x00\"}", "{\"a\":\"\xff\"}", `{"a":[1,]}`, `{"a":[1}`, `{"a":{"b":1]}`, `{"a":{1:2}}`, `{"a":"`, `{"a":"\`,
		`{"a":1`, `{"a":[`, `{"a":[1`, `{"a":{"b"`, `{"a":{"b":`, `{"a":'x'}`, `{"a":NaN}`, `{"a":1}` + "\x00", `{"a":0x1}`, `{"a":1,"b"`,
	}
}

func TestFieldsReadsWhatEncodingJSONReads(t *testing.T) {
	for _, s := range samples() {
		check(t, []byte(s))
	}
}

func FuzzFields(f *testing.F) {
	for _, s := range samples() {
		if len(s) < 1000 {
			f.Add([]byte(s))
		}
	}
	f.Fuzz(check)
}
