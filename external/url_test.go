package external

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool"
)

// serve starts a server and returns a handler that posts to path on it.
func serve(t *testing.T, path string, o *URLOptions, fn http.HandlerFunc) (spool.HandlerFunc, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(fn)
	t.Cleanup(s.Close)
	if o == nil {
		o = &URLOptions{}
	}
	if o.Client == nil {
		o.Client = s.Client()
	}
	h, err := URL(s.URL+path, o)
	if err != nil {
		t.Fatal(err)
	}
	return h, s
}

func urlJob() *spool.Job {
	return &spool.Job{ID: "1", UUID: "u-1", Name: "Mail", Queue: "emails", Connection: "redis", Attempt: 3,
		Body: []byte(`{"job":"Mail","data":1}`), Payload: &spool.Payload{}}
}

func TestRequest(t *testing.T) {
	job := urlJob()
	job.Body = []byte(strings.Repeat("x\x00é", 5<<20/4))
	job.Name = "邮件\r\nX-Evil: 1"
	var got *http.Request
	var body []byte
	h, s := serve(t, "/jobs?token=s", &URLOptions{Headers: map[string]string{"Authorization": "Bearer 1", "host": "app.test"}, Secret: "geheim"},
		func(_ http.ResponseWriter, r *http.Request) {
			got = r
			body, _ = io.ReadAll(r.Body)
		})
	if err := h(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if got.Method != http.MethodPost || got.URL.RequestURI() != "/jobs?token=s" || got.Host != "app.test" || string(body) != string(job.Body) {
		t.Errorf("%s %s on %s with %d bytes", got.Method, got.URL, got.Host, len(body))
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Authorization": "Bearer 1", "User-Agent": "Spool",
		"Spool-Job-Name": "邮件  X-Evil: 1", "Spool-Job-Id": "1", "Spool-Job-Uuid": "u-1", "Spool-Job-Queue": "emails",
		"Spool-Job-Connection": "redis", "Spool-Job-Attempt": "3", "X-Evil": "",
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s: got %q, want %q", name, v, want)
		}
	}
	var at int64
	var sum string
	if _, err := fmt.Sscanf(got.Header.Get("Spool-Signature"), "t=%d,v1=%s", &at, &sum); err != nil {
		t.Fatal(got.Header.Get("Spool-Signature"), err)
	}
	mac := hmac.New(sha256.New, []byte("geheim"))
	mac.Write(fmt.Appendf(nil, "%d.%s", at, body))
	if sum != hex.EncodeToString(mac.Sum(nil)) || time.Since(time.Unix(at, 0)).Abs() > time.Minute {
		t.Errorf("signature %s of %d", sum, at)
	}
}

func TestAnswers(t *testing.T) {
	date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for _, tt := range []struct {
		code     int
		after    string
		released bool
		min, max time.Duration
		text     string
	}{
		{code: 200},
		{code: 204},
		{code: 299},
		{code: 429, after: "120", released: true, min: 2 * time.Minute, max: 2 * time.Minute},
		{code: 503, after: "0", released: true},
		{code: 503, after: date(time.Hour), released: true, min: 59 * time.Minute, max: time.Hour},
		{code: 429, after: date(-time.Hour), released: true},
		{code: 429, after: "99999999999999999999", released: true, min: 24 * time.Hour, max: 24 * time.Hour},
		{code: 429, text: "answered 429 Too Many Requests: because"},
		{code: 503, after: "soon", text: "answered 503 Service Unavailable: because"},
		{code: 503, after: "-1", text: "answered 503"},
		{code: 500, after: "5", text: "answered 500 Internal Server Error: because"},
		{code: 404, text: "answered 404 Not Found: because"},
		{code: 400, text: "answered 400"},
		{code: 304, text: "answered 304"},
		{code: 302, text: "answered 302"},
	} {
		h, _ := serve(t, "/x?secret=1", nil, func(w http.ResponseWriter, _ *http.Request) {
			if tt.after != "" {
				w.Header().Set("Retry-After", tt.after)
			}
			w.WriteHeader(tt.code)
			_, _ = io.WriteString(w, "be\x00cause")
		})
		err := h(t.Context(), urlJob())
		out := spool.OutcomeOf(err)
		switch {
		case tt.released:
			if out.Kind != spool.Released || out.Delay < tt.min || out.Delay > tt.max {
				t.Errorf("%d %s: got %+v", tt.code, tt.after, out)
			}
		case tt.text == "":
			if err != nil {
				t.Errorf("%d: %v", tt.code, err)
			}
		default:
			var e *StatusError
			if !errors.As(err, &e) || e.Code != tt.code || out.Kind != spool.Undecided ||
				!strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%d %s: got %v, want %s", tt.code, tt.after, err, tt.text)
			}
		}
	}
}

func TestRedirects(t *testing.T) {
	var hits []string
	mux := http.NewServeMux()
	mux.HandleFunc("/done", func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		hits = append(hits, r.Method+" "+string(b))
	})
	mux.Handle("/same", http.RedirectHandler("/done", http.StatusTemporaryRedirect))
	mux.Handle("/get", http.RedirectHandler("/done", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusPermanentRedirect))
	mux.Handle("/other", http.RedirectHandler("http://user:pw@127.0.0.2:1/x?token=1", http.StatusTemporaryRedirect))
	for path, want := range map[string]string{
		"/same": "", "/get": "answered 302", "/loop": "answered 308",
		"/other": "a redirect to http://127.0.0.2:1/x, which is not followed",
	} {
		hits = nil
		h, _ := serve(t, path, nil, mux.ServeHTTP)
		err := h(t.Context(), urlJob())
		if want == "" && (err != nil || len(hits) != 1 || hits[0] != `POST {"job":"Mail","data":1}`) {
			t.Errorf("%s: %v, %v", path, err, hits)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want) || len(hits) != 0) {
			t.Errorf("%s: %v, %v", path, err, hits)
		}
	}
}

func TestAnswerThatIsLongOrBreaksOff(t *testing.T) {
	h, _ := serve(t, "/", nil, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		for r.Context().Err() == nil { // endless
			if _, err := io.WriteString(w, strings.Repeat("é", 1000)); err != nil {
				return
			}
		}
	})
	err := h(t.Context(), urlJob())
	if err == nil || len(err.Error()) > maxAnswerMsg+200 || !strings.Contains(err.Error(), "418") {
		t.Errorf("got %.200v", err)
	}
	h, _ = serve(t, "/", nil, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	if err := h(t.Context(), urlJob()); err == nil || !strings.Contains(err.Error(), "broke off") {
		t.Errorf("got %v", err)
	}
}

func TestServerThatIsDownOrSlow(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := "http://user:pw@" + l.Addr().String() + "/x?secret=1"
	_ = l.Close()
	h, err := URL(down, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = h(t.Context(), urlJob())
	if err == nil || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), l.Addr().String()) ||
		strings.Contains(err.Error(), "pw") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}

	arrived := make(chan struct{}, 1)
	slow := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see us hang up
		arrived <- struct{}{}
		<-r.Context().Done()
	}
	h, _ = serve(t, "/", &URLOptions{Timeout: 50 * time.Millisecond}, slow)
	if err := h(t.Context(), urlJob()); err == nil || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Errorf("got %v", err)
	}
	<-arrived
	cause := errors.New("lease lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	h, _ = serve(t, "/", nil, slow)
	go func() { <-arrived; cancel(cause) }() // ends with the request below
	if err := h(ctx, urlJob()); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

func TestURLsThatCannotBeUsed(t *testing.T) {
	for _, u := range []string{"", "/jobs", "app.test/jobs", "ftp://app.test/", "http://", "http://%zz/?secret", "http://h:x/?secret"} {
		if _, err := URL(u, nil); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", u, err)
		}
	}
	for name, value := range map[string]string{"": "x", "a b": "x", "X": "a\nb", "é": "x"} {
		if _, err := URL("http://app.test/", &URLOptions{Headers: map[string]string{name: value}}); err == nil {
			t.Errorf("header %q: %q was accepted", name, value)
		}
	}
}
