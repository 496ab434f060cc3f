package main

import (
	"testing"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/memqueue"
)

// What the example pushes is on the queue, under PHP's name of the job.
func TestPush(t *testing.T) {
	conn := memqueue.New(nil)
	t.Cleanup(func() { _ = conn.Close() })
	if err := push(t.Context(), spool.Connect(conn)); err != nil {
		t.Fatal(err)
	}
	if s, err := conn.Size(t.Context(), "default"); err != nil || s.Delayed != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}
