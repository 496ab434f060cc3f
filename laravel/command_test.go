package laravel_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool/laravel"
	"github.com/spoolq/spool/laravel/phpserial"
)

func serialize(t *testing.T, c *laravel.Command) string {
	t.Helper()
	s, err := c.Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func simple(id int, name string) *laravel.Command {
	return laravel.NewCommand(`App\Jobs\Simple`, laravel.Public("id", id), laravel.Protected("name", name))
}

// The expected text is what Laravel 13 wrote.
func TestChainAsLaravel13WritesIt(t *testing.T) {
	c := simple(1, "a").ChainOn("", "pod").OnQueue("pod")
	if err := c.Then(simple(2, "b"), simple(3, "c")); err != nil {
		t.Fatal(err)
	}
	want := `O:15:"App\Jobs\Simple":5:{s:2:"id";i:1;s:7:"#*#name";s:1:"a";s:5:"queue";s:3:"pod";s:7:"chained";a:2:{i:0;s:62:"O:15:"App\Jobs\Simple":2:{s:2:"id";i:2;s:7:"#*#name";s:1:"b";}";i:1;s:62:"O:15:"App\Jobs\Simple":2:{s:2:"id";i:3;s:7:"#*#name";s:1:"c";}";}s:10:"chainQueue";s:3:"pod";}`
	if got := serialize(t, c); got != strings.ReplaceAll(want, "#", "\x00") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	next, err := c.Next()
	if err != nil {
		t.Fatal(err)
	}
	want = `O:15:"App\Jobs\Simple":5:{s:2:"id";i:2;s:7:"#*#name";s:1:"b";s:5:"queue";s:3:"pod";s:7:"chained";a:1:{i:0;s:62:"O:15:"App\Jobs\Simple":2:{s:2:"id";i:3;s:7:"#*#name";s:1:"c";}";}s:10:"chainQueue";s:3:"pod";}`
	if got := serialize(t, next); got != strings.ReplaceAll(want, "#", "\x00") {
		t.Errorf("second: got  %q\nwant %q", got, want)
	}
	if next, err = next.Next(); err != nil {
		t.Fatal(err)
	}
	want = `O:15:"App\Jobs\Simple":4:{s:2:"id";i:3;s:7:"#*#name";s:1:"c";s:5:"queue";s:3:"pod";s:10:"chainQueue";s:3:"pod";}`
	if got := serialize(t, next); got != strings.ReplaceAll(want, "#", "\x00") {
		t.Errorf("third: got  %q\nwant %q", got, want)
	}
	if end, err := next.Next(); end != nil || err != nil {
		t.Errorf("after the last: %v, %v", end, err)
	}
}

func TestChainOfLaravel8(t *testing.T) {
	f := newFormat(t, nil)
	head, err := laravel.CommandOf(decodeKind(t, f, "mysql", "chain-catch"))
	if err != nil {
		t.Fatal(err)
	}
	if len(head.Chained()) != 2 || len(head.ChainCatchCallbacks()) != 1 || head.ChainQueue() != "" || head.ChainConnection() != "" || len(head.Middleware()) != 0 {
		t.Errorf("chained %q, callbacks %d", head.Chained(), len(head.ChainCatchCallbacks()))
	}
	next, err := head.Next()
	if err != nil {
		t.Fatal(err)
	}
	if next.Class != `App\Jobs\AlwaysFails` || len(next.Chained()) != 1 || len(next.ChainCatchCallbacks()) != 1 {
		t.Errorf("next is %s with %d links and %d callbacks", next.Class, len(next.Chained()), len(next.ChainCatchCallbacks()))
	}
	// All properties stay where PHP put them.
	text := serialize(t, next)
	callbacks, _ := phpserial.Encode(phpserial.List(head.ChainCatchCallbacks()...))
	rest, _ := phpserial.Encode(phpserial.List(head.Chained()[1]))
	want := strings.Replace(head.Chained()[0], `s:19:"chainCatchCallbacks";N;`, `s:19:"chainCatchCallbacks";`+callbacks, 1)
	want = strings.Replace(want, `s:7:"chained";a:0:{}`, `s:7:"chained";`+rest, 1)
	if d := cmp.Diff(want, text); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	batched, err := laravel.CommandOf(decodeKind(t, f, "mysql", "batch-chain"))
	if err != nil || batched.BatchID() == "" {
		t.Errorf("batch id %q, %v", batched.BatchID(), err)
	}
}

var signature = regexp.MustCompile(`\\"(self|hash)\\";s:\d+:\\"[^"]*"`)

// Workers of Laravel 8 ran these chains; each payload but the first of a chain
// is what a worker pushed when the one before had succeeded.
func TestNextIsWhatAWorkerOfLaravel8Pushed(t *testing.T) {
	f := newFormat(t, &laravel.Options{Version: 8})
	var kind string
	var before *laravel.Command
	compared := 0
	for _, in := range recorded(t, "chains") {
		p, err := f.Decode([]byte(in.Payload))
		if err != nil {
			t.Fatal(err)
		}
		if in.Kind == kind {
			next, err := before.Next()
			if err != nil {
				t.Fatal(err)
			}
			d := draftOf(t, p)
			d.Data = next
			got, err := f.Encode(d)
			if err != nil {
				t.Fatal(err)
			}
			// PHP signs a closure anew; the bytes that we keep are signed too.
			if d := cmp.Diff(signature.ReplaceAllString(in.Payload, ""), signature.ReplaceAllString(string(got), "")); d != "" {
				t.Errorf("%s after %s: (-want +got)\n%s", next.Class, before.Class, d)
			}
			compared++
		}
		kind = in.Kind
		if before, err = laravel.CommandOf(p); err != nil {
			t.Fatal(err)
		}
	}
	if compared != 3 {
		t.Errorf("compared %d links, want 3", compared)
	}
}

func TestNextKeepsItsOwnQueue(t *testing.T) {
	c := simple(1, "a").ChainOn("redis", "pod")
	if err := c.Then(simple(2, "b").OnQueue("own")); err != nil {
		t.Fatal(err)
	}
	c.Encrypt = true
	next, err := c.Next()
	if err != nil || next.Queue() != "own" || next.Connection() != "redis" || !next.Encrypt {
		t.Errorf("got %+v, %v", next, err)
	}
	for _, link := range []any{5, "x", "i:5;"} {
		bad := laravel.NewCommand("A")
		bad.Set("chained", phpserial.List(link))
		if _, err := bad.Next(); err == nil || !strings.Contains(err.Error(), "chain of A") {
			t.Errorf("link %v: got error %v", link, err)
		}
	}
}

func TestValuesOfProperties(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := laravel.NewCommand("A",
		laravel.Private("secret", []string{"x"}),
		laravel.Public("user", laravel.ModelIdentifier{Class: `App\Models\User`, ID: 1, Connection: "mysql", CollectionClass: "C"}),
		laravel.Public("at", laravel.Carbon(at)),
		laravel.Public("zoned", laravel.Carbon(at.In(time.FixedZone("", 5400)))),
	)
	want := `O:1:"A":4:{s:9:"#A#secret";a:1:{i:0;s:1:"x";}s:4:"user";O:45:"Illuminate\Contracts\Database\ModelIdentifier":5:{s:5:"class";s:15:"App\Models\User";s:2:"id";i:1;s:9:"relations";a:0:{}s:10:"connection";s:5:"mysql";s:15:"collectionClass";s:1:"C";}` +
		`s:2:"at";O:25:"Illuminate\Support\Carbon":3:{s:4:"date";s:26:"2026-01-02 03:04:05.000000";s:13:"timezone_type";i:3;s:8:"timezone";s:3:"UTC";}` +
		`s:5:"zoned";O:25:"Illuminate\Support\Carbon":3:{s:4:"date";s:26:"2026-01-02 04:34:05.000000";s:13:"timezone_type";i:1;s:8:"timezone";s:6:"+01:30";}}`
	if got := serialize(t, c); got != strings.ReplaceAll(want, "#", "\x00") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestJobOptionsAreReadFromProperties(t *testing.T) {
	if n := len(simple(1, "a").JobOptions()); n != 0 {
		t.Errorf("%d options without properties", n)
	}
	c := laravel.NewCommand("A", laravel.Public("tries", 3), laravel.Public("backoff", []int{1, 5}), laravel.Public("timeout", 60),
		laravel.Public("maxExceptions", 2), laravel.Public("failOnTimeout", true), laravel.Public("retryUntil", laravel.Carbon(time.Unix(99, 0)))).
		OnQueue("q").OnConnection("c").WithDelay(time.Minute)
	if n := len(c.JobOptions()); n != 9 {
		t.Errorf("%d options, want 9", n)
	}
	if c.JobName() != "A" || (laravel.Command{}).JobName() != "" || (laravel.Command{}).JobOptions() != nil {
		t.Error("name of a command is not its class")
	}
}

func TestCommandIsRefusedByOtherFormats(t *testing.T) {
	if _, err := json.Marshal(simple(1, "a")); err == nil || !strings.Contains(err.Error(), "laravel format") {
		t.Errorf("got error %v", err)
	}
}

// The group of a class job is in the object, where PHP has it, and in what is
// sent, where a retry by Spool finds it.
func TestMessageGroup(t *testing.T) {
	c := simple(1, "a").OnQueue("q").OnGroup("tenant7")
	want := `O:15:"App\Jobs\Simple":4:{s:2:"id";i:1;s:7:"#*#name";s:1:"a";s:5:"queue";s:1:"q";s:12:"messageGroup";s:7:"tenant7";}`
	if got := serialize(t, c); got != strings.ReplaceAll(want, "#", "\x00") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if g := c.MessageGroup(); g != "tenant7" {
		t.Errorf("the group is %q", g)
	}
	if g := simple(1, "a").OnGroup("").MessageGroup(); g != "" {
		t.Errorf("without one the group is %q", g)
	}
	f := newFormat(t, nil)
	data, err := json.Marshal(serialize(t, c))
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.Decode([]byte(`{"uuid":"u","job":"Illuminate\\Queue\\CallQueuedHandler@call","data":{"commandName":"App\\Jobs\\Simple","command":` + string(data) + `}}`))
	if err != nil || p.Group != "tenant7" {
		t.Errorf("a job that PHP pushed: %+v, %v", p, err)
	}
}
