package sqldb_test

import (
	"testing"
	"time"

	"github.com/spoolq/spool/sqldb"
)

func TestText(t *testing.T) {
	lite, my, pg := sqldb.NewSQLite(), sqldb.NewMySQL(), sqldb.NewPostgres()
	for _, c := range []struct{ name, got, want string }{
		{"identifier", pg.Ident(`a"b`), `"a""b"`},
		{"identifier with a schema", my.Ident("app.jobs"), "`app`.`jobs`"},
		{"placeholders of PostgreSQL", pg.Rebind("a = ? AND b IN (?,?)"), "a = $1 AND b IN ($2,$3)"},
		{"placeholders of others", my.Rebind("a = ?"), "a = ?"},
		{"insert", pg.Insert("t", []string{"a", "b"}, 2), `INSERT INTO "t" ("a", "b") VALUES ($1,$2),($3,$4)`},
		{"insert if new on SQLite", lite.InsertNew("t", []string{"a", "b"}, []string{"a"}), `INSERT INTO "t" ("a", "b") VALUES (?,?) ON CONFLICT ("a") DO NOTHING`},
		{"insert if new on MySQL", my.InsertNew("t", []string{"a", "b"}, []string{"a"}), "INSERT INTO `t` (`a`, `b`) VALUES (?,?) ON DUPLICATE KEY UPDATE `a` = `a`"},
		{"upsert on PostgreSQL", pg.Upsert("t", []string{"a", "b"}, []string{"a"}, []string{"b"}), `INSERT INTO "t" ("a", "b") VALUES ($1,$2) ON CONFLICT ("a") DO UPDATE SET "b" = excluded."b"`},
		{"upsert on MySQL", my.Upsert("t", []string{"a", "b"}, []string{"a"}, []string{"b"}), "INSERT INTO `t` (`a`, `b`) VALUES (?,?) ON DUPLICATE KEY UPDATE `b` = VALUES(`b`)"},
		{"no marks", sqldb.Marks(0), ""},
		{"marks", sqldb.Marks(3), "?,?,?"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.got, c.want)
		}
	}
}

func TestSignals(t *testing.T) {
	s := sqldb.NewSignals()
	a, b := sqldb.Topic{Table: "jobs", Queue: "a"}, sqldb.Topic{Table: "jobs", Queue: "b"}
	first := s.Version(a)
	sub := s.Subscribe(a, b)
	got := func() bool {
		select {
		case <-sub.C():
			return true
		default:
			return false
		}
	}
	if got() {
		t.Error("woken before anything was announced")
	}
	s.Announce(sqldb.Topic{Table: "other", Queue: "a"})
	s.Announce(sqldb.Topic{Table: "jobs", Queue: "c"})
	if got() {
		t.Error("woken by topics of others")
	}
	s.Announce(a)
	s.Announce(a)
	if !got() || got() {
		t.Error("two announcements before a look must be one wake-up")
	}
	if v := s.Version(a); v != first+2 {
		t.Errorf("version is %d after two announcements, want %d", v, first+2)
	}
	s.Announce(sqldb.Topic{Table: "jobs"})
	if v := s.Version(a); !got() || v != first+3 {
		t.Errorf("an announcement of the whole table didn't reach the queue: version %d", v)
	}
	sub.Close()
	sub.Close()
	s.Announce(b)
	if got() {
		t.Error("woken after Close")
	}
}

func TestAnnouncementNeverBlocks(t *testing.T) {
	s := sqldb.NewSignals()
	topic := sqldb.Topic{Table: "jobs", Queue: "a"}
	defer s.Subscribe(topic).Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1000 {
			s.Announce(topic)
		}
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("Announce blocks on a subscription that nobody reads")
	}
}
