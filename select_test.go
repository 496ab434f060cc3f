package spool_test

import (
	"testing"

	"github.com/spoolq/spool"
)

func TestNamesAreFoundInBodies(t *testing.T) {
	sel := spool.Native.(spool.NameSelector)
	for _, c := range []struct {
		name, body string
		want       bool
	}{
		{"emails.send", `{"uuid":"u","job":"emails.send","data":[]}`, true},
		{"emails.send", `{"uuid":"u","job":"emails.send2","data":[]}`, false},
		{"emails.send", `{"uuid":"u","job":"Emails.send","data":[]}`, false},
		{`App\Handlers\Order@ship`, `{"job":"App\\Handlers\\Order@ship"}`, true},
		{`App\Handlers\Order@ship`, `{"job":"App\\Handlers\\Order@shipped"}`, false},
		{"go/send", `{"job":"go\/send"}`, true}, // PHP, cjson, Spool
		{"go/send", `{"job":"go/send"}`, true},
		{"发邮件", `{"job":"发邮件"}`, true},
		{"发邮件", `{"job":"\u53d1\u90ae\u4ef6"}`, true},
		{"发/😀", `{"job":"\u53d1\/\ud83d\ude00"}`, true},
		{"发/😀", `{"job":"\u53d1/\ud83d\ude00"}`, true},
		{"发/😀", `{"job":"发\/😀"}`, true},
	} {
		s, ok := sel.SelectNames([]string{"other", c.name})
		if !ok || s.Matches([]byte(c.body)) != c.want {
			t.Errorf("%s in %s: %v, %v", c.name, c.body, !c.want, ok)
		}
	}
	for _, name := range []string{"", `a"b`, "a\nb", "a\x7fb", "a\xffb"} {
		if s, ok := sel.SelectNames([]string{name}); ok {
			t.Errorf("%q is selected by %q", name, s.Texts())
		}
	}
}

func TestEncodedJobsAreSelected(t *testing.T) {
	for _, name := range []string{"SendMail", `App\Jobs\Send`, "go/send", "订单.发货", "a@b", "a'b&<c>", `tab	`[:3]} {
		body, err := spool.Native.Encode(&spool.Draft{UUID: "u", Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := spool.Native.(spool.NameSelector).SelectNames([]string{name}); !ok || !s.Matches(body) {
			t.Errorf("%s isn't found in %s", name, body)
		}
	}
}
