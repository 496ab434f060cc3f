package external

import (
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool"
)

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"Mail", "Mail", true}, {"Mail", "mail", false}, {"Mail", "Mails", false},
		{"*", "", true}, {"*", `App\Jobs\A/b.c@d`, true},
		{`App\Jobs\*`, `App\Jobs\Mail`, true}, {`App\Jobs\*`, `App\Job`, false}, {`App\Jobs\*`, `App\Jobs\`, true},
		{"*@send", `app\job\Mail@send`, true}, {"*@send", "send", false},
		{"a*b", "ab", true}, {"a*b", "a", false}, {"a*a", "a", false}, {"ab*ba", "aba", false},
		{"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false}, {"a*bc*c", "abcc", true}, {"a*bc*c", "abc", false},
		{"**", "x", true}, {"a**b", "ab", true}, {"[a]?", "[a]?", true}, {"[a]?", "ab", false},
		{"", "", true}, {"", "a", false},
	} {
		if got := Match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("Match(%q, %q) = %v", tt.pattern, tt.name, got)
		}
	}
}

func TestRoutes(t *testing.T) {
	find, err := Routes([]Route{
		{Patterns: []string{"Mail", `App\Jobs\*`}, Command: []string{"true"}, Policy: spool.Policy{Tries: new(5)}},
		{Patterns: []string{"Report*"}, Shell: "exit 100"},
		{Patterns: []string{"*Hook"}, URL: "http://127.0.0.1:1/"},
		{Patterns: []string{"MailHook"}, Shell: "exit 0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := spool.NewMux()
	mux.HandleFunc("ReportOfGo", nil)
	mux.Fallback(find)
	if h := mux.Lookup("ReportOfGo"); h == nil || h.Run != nil {
		t.Error("a registered handler does not come first")
	}
	if h := mux.Lookup("Other"); h != nil {
		t.Errorf("found %+v", h)
	}
	h := mux.Lookup(`App\Jobs\Mail`)
	if h == nil || h.Name != `App\Jobs\Mail` || h.Policy.Tries == nil || *h.Policy.Tries != 5 {
		t.Fatalf("got %+v", h)
	}
	if err := h.Run(t.Context(), urlJob()); err != nil {
		t.Error(err)
	}
	if err := mux.Lookup("Reports").Run(t.Context(), urlJob()); spool.OutcomeOf(err).Kind != spool.Failed {
		t.Error(err)
	}
	if err := mux.Lookup("MailHook").Run(t.Context(), urlJob()); err == nil || !strings.Contains(err.Error(), "POST http://127.0.0.1:1/") {
		t.Error(err)
	}
}

func TestRoutesThatCannotWork(t *testing.T) {
	ok := Route{Patterns: []string{"A"}, Shell: "exit 0"}
	for want, r := range map[string]Route{
		"exactly one":                        {Patterns: []string{"B"}},
		"exactly one of":                     {Patterns: []string{"B"}, Shell: "x", URL: "http://h/"},
		"no name":                            {Shell: "x"},
		"a name is empty":                    {Patterns: []string{""}, Shell: "x"},
		`"A" is already taken by job handle`: {Patterns: []string{"A"}, Shell: "x"},
		"not absolute":                       {Patterns: []string{"B"}, URL: "/x"},
		"name a program":                     {Patterns: []string{"B"}, Command: []string{""}},
	} {
		_, err := Routes([]Route{ok, r})
		if err == nil || !strings.HasPrefix(err.Error(), "job handler 2: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %s", r, err, want)
		}
	}
}

func TestReleaseDelay(t *testing.T) {
	for out, want := range map[string]time.Duration{
		"": time.Minute, "spool: release 5\n\n": 5 * time.Second, "a\nspool: release  1h ": time.Hour,
		"spool: release": time.Minute, "xspool: release 5": time.Minute, "spool: release 99999999999999": time.Minute,
	} {
		if got := releaseDelay([]byte(out), time.Minute); got != want {
			t.Errorf("%q: got %v, want %v", out, got, want)
		}
	}
}
