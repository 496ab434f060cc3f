package spool_test

import (
	"context"
	"strings"
	"testing"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/memqueue"
)

// sent is a backend that remembers what it was given.
type sent struct {
	*memqueue.Conn
	ms []driver.Message
}

func (s *sent) Push(ctx context.Context, queue string, ms []driver.Message) ([]string, error) {
	for _, m := range ms {
		m.Body = []byte(string(m.Body)) // it is the caller's
		s.ms = append(s.ms, m)
	}
	return s.Conn.Push(ctx, queue, ms)
}

// parcel says its group and its deduplication id itself, as jobs of Laravel do.
type parcel struct {
	To string `json:"to"`
}

func (p parcel) MessageGroup() string { return p.To }

func (p parcel) DeduplicationID() string {
	if p.To == "" {
		return ""
	}
	return "parcel-" + p.To
}

func TestGroupsAndDeduplication(t *testing.T) {
	s := &sent{Conn: memqueue.New(nil)}
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "sqs", Open: func(context.Context) (driver.Conn, error) { return s, nil }})
	c := spool.NewClient(m, nil)
	dispatch := func(want string, do func() error) {
		t.Helper()
		s.ms = nil
		if err := do(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range s.ms {
			got = append(got, m.Group+"/"+m.Deduplication)
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("group/deduplication id are %q, want %q", g, want)
		}
	}
	dispatch("/", func() error { _, err := spool.Dispatch(t.Context(), c, receipt{1}); return err })
	dispatch("ann/once", func() error {
		_, err := spool.Dispatch(t.Context(), c, receipt{1}, spool.OnGroup("ann"), spool.Deduplicate("once"))
		return err
	})
	dispatch("bob/parcel-bob / cy/parcel-cy", func() error {
		_, err := spool.DispatchAll(t.Context(), c, []parcel{{"bob"}, {""}, {"cy"}})
		return err
	})
	dispatch("ann/parcel-bob ann/parcel-cy", func() error {
		_, err := spool.DispatchAll(t.Context(), c, []parcel{{"bob"}, {"cy"}}, spool.OnGroup("ann"))
		return err
	})
	retried := s.ms[1].Body
	s.ms = nil
	if _, err := spool.DispatchAll(t.Context(), c, []receipt{{1}, {2}}, spool.Deduplicate("once")); err == nil || len(s.ms) > 0 {
		t.Errorf("several jobs with one deduplication id: %v, %d stored", err, len(s.ms))
	}
	conn, err := m.Connection(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	dispatch("ann/", func() error { _, err := conn.PushRaw(t.Context(), "", retried, 0); return err })
	const class = `{"uuid":"u","displayName":"App\\Jobs\\X","job":"X@run","data":[],"messageGroup":"php"}`
	dispatch("php/", func() error { _, err := conn.PushRaw(t.Context(), "", []byte(class), 0); return err })
}
