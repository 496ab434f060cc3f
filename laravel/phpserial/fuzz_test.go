package phpserial_test

import (
	"testing"

	"github.com/spoolq/spool/laravel/phpserial"
)

// job is the command of a job of Laravel 8 with all that such jobs hold.
const job = "O:26:\"App\\Jobs\\SendReminderEmail\":16:{s:5:\"tries\";i:3;s:7:\"timeout\";i:30;s:8:\"template\";s:15:\"emails/reminder\";" +
	"s:9:\"\x00*\x00userId\";i:42;s:10:\"\x00*\x00options\";a:4:{s:7:\"subject\";s:6:\"R\u00ebmi!\";s:2:\"cc\";a:2:{i:0;s:14:\"a@example.test\";i:1;s:14:\"b@example.test\";}" +
	"s:7:\"weights\";a:2:{i:0;d:0.1;i:1;d:1.0E+30;}s:4:\"none\";N;}s:33:\"\x00App\\Jobs\\SendReminderEmail\x00token\";s:6:\"s3cr3t\";s:3:\"job\";N;" +
	"s:10:\"connection\";N;s:5:\"queue\";N;s:15:\"chainConnection\";N;s:10:\"chainQueue\";N;s:19:\"chainCatchCallbacks\";N;s:5:\"delay\";N;" +
	"s:11:\"afterCommit\";N;s:10:\"middleware\";a:0:{}s:7:\"chained\";a:0:{}}"

// What Decode accepts, Encode writes in PHP's own way; and that is a fixed
// point: read and written again, it is the same.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		job, `N;`, `b:1;`, `i:-7;`, `d:1.0E+100;`, `d:-0;`, `d:NAN;`, `s:2:"é";`, `a:2:{i:0;i:5;s:1:"k";b:1;}`,
		`a:4:{i:0;O:1:"A":1:{s:1:"x";i:5;}i:1;r:2;i:2;R:3;i:3;R:2;}`,
		`a:2:{i:0;i:1;i:1;a:2:{i:0;i:1;i:1;R:3;}}`,
		`O:1:"A":2:{s:1:"x";R:1;s:1:"y";R:1;}`,
		`C:3:"Old":5:{x:{};}`, `E:11:"Suit:Hearts";`, `a:1:{i:0;R:1;}`,
	} {
		f.Add(s)
	}
	opt := &phpserial.Options{MaxDepth: 200, MaxValues: 10000}
	f.Fuzz(func(t *testing.T, in string) {
		v, err := phpserial.Decode(in, opt)
		if err != nil {
			return
		}
		once, err := phpserial.Encode(v)
		if err != nil {
			t.Fatalf("Encode of %q: %v", in, err)
		}
		v, err = phpserial.Decode(once, opt)
		if err != nil {
			t.Fatalf("%q became %q: %v", in, once, err)
		}
		if twice, err := phpserial.Encode(v); err != nil || twice != once {
			t.Fatalf("%q became %q, then %q, %v", in, once, twice, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	b.SetBytes(int64(len(job)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := phpserial.Decode(job, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	v, err := phpserial.Decode(job, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(job)))
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		if buf, err = phpserial.Append(buf[:0], v); err != nil {
			b.Fatal(err)
		}
	}
}
