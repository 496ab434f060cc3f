package deferred_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/backgroundqueue"
	"github.com/spoolq/spool/deferred"
	"github.com/spoolq/spool/driver"
)

type receipt struct{ Order int }

// A job runs after its handler has returned, and the client needn't wait for it.
func TestHandler(t *testing.T) {
	inHandler, ran, goOn := make(chan struct{}), make(chan string, 3), make(chan struct{})
	conn := backgroundqueue.New(func(ctx context.Context, queue string, body []byte) error {
		select {
		case <-inHandler:
		default:
			t.Error("the job ran before its handler had returned")
		}
		<-goOn
		ran <- queue
		return ctx.Err()
	}, nil)
	m := spool.NewManager(nil)
	m.Add(spool.ConnectionConfig{Name: "deferred", Deferred: true, Open: func(context.Context) (driver.Conn, error) { return conn, nil }})
	client := spool.NewClient(m, nil)
	var log bytes.Buffer
	server := httptest.NewServer(deferred.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := spool.Dispatch(r.Context(), client, receipt{1}, spool.OnQueue("mail")); err != nil {
			t.Error(err)
		}
		if r.URL.Path == "/panic" {
			panic(http.ErrAbortHandler)
		}
		defer close(inHandler)
		_, _ = io.WriteString(w, "thanks")
	}), &deferred.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}))
	defer server.Close()
	response, err := http.Get(server.URL + "/order")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil || string(text) != "thanks" || response.ContentLength != 6 {
		t.Errorf("%q, %d bytes announced, %v", text, response.ContentLength, err)
	}
	_ = response.Body.Close()
	if r, err := http.Get(server.URL + "/panic"); err == nil { // what it dispatched goes out all the same
		_ = r.Body.Close()
		t.Error("the panic was answered")
	}
	close(goOn)
	for range 2 {
		if queue := <-ran; queue != "mail" {
			t.Errorf("ran on %s", queue)
		}
	}
	if err := m.Close(); err != nil { // waits for the jobs
		t.Error(err)
	}
	// Too late: it is said, and by name.
	r, _ := http.NewRequest(http.MethodGet, "/late", nil)
	handler := deferred.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := spool.Dispatch(r.Context(), client, receipt{1}); err == nil {
			t.Error("a dispatch after Close succeeded")
		}
	}), nil)
	handler.ServeHTTP(httptest.NewRecorder(), r)
	if s := log.String(); strings.Contains(s, "Order") {
		t.Errorf("the log has a payload: %s", s)
	}
}
