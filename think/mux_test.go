package think_test

import (
	"context"
	"strings"
	"testing"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/think"
)

type SendMail struct{ To string }

// A handler is found by any name that PHP takes for the same job.
func TestHandlersByEveryName(t *testing.T) {
	f, err := think.New(&think.Options{Profile: think.TQ1})
	if err != nil {
		t.Fatal(err)
	}
	mux := spool.NewMux()
	none := func(context.Context, *spool.Job) error { return nil }
	spool.Handle(mux, func(context.Context, SendMail) error { return nil })
	mux.HandleFunc(`app\job\Report@daily`, none)
	mux.HandleFunc(`index/Job1`, none, spool.Alias("Legacy"))
	mux.Fallback(func(name string) *spool.Handler {
		if name == `app\job\Other@x` {
			return &spool.Handler{Name: "fallback", Run: none}
		}
		return nil
	})
	m := mux.For(f)
	for name, want := range map[string]string{
		"SendMail": "SendMail", `app\job\SendMail`: "SendMail", `SendMail@fire`: "SendMail", `\app\job\SendMail@fire`: "SendMail",
		`Report@daily`: `app\job\Report@daily`, `app\job\Report@daily`: `app\job\Report@daily`,
		`Index/Job1`: `index/Job1`, `app\index\job\Job1@fire`: `index/Job1`, `app\job\Legacy`: `index/Job1`,
		`Other@x`: "fallback",
		`Report`:  "", `SendMail@other`: "", `Index/Job2`: "",
	} {
		got := ""
		if h := m.Lookup(name); h != nil {
			got = h.Name
		}
		if got != want {
			t.Errorf("the handler of %s is %q, want %q", name, got, want)
		}
	}
	if mux.Lookup(`app\job\SendMail`) != nil {
		t.Error("other connections find think-queue's names too")
	}
	if mux.For(spool.Native) != mux {
		t.Error("a format with one name for each job needs no other mux")
	}

	mux.HandleFunc(`app\job\SendMail`, none)
	defer func() {
		if v, _ := recover().(string); !strings.Contains(v, `app\\job\\SendMail`) {
			t.Errorf("two handlers of one job: %q", v)
		}
	}()
	mux.For(f)
}
