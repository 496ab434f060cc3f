package external

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/internal/procgroup"
)

// URLOptions are the settings of [URL].
type URLOptions struct {
	// Headers are sent with every request.
	Headers map[string]string
	// Secret signs the requests; empty sends no signature.
	Secret string
	// Timeout ends a request; 0 leaves it to the job's own timeout.
	Timeout time.Duration
	// Client sends the requests; nil means one of its own, which obeys the
	// proxy settings of the environment. Its CheckRedirect is not used.
	Client *http.Client
}

// StatusError is an answer that means an exception.
type StatusError struct {
	URL    string // without user, password and query
	Code   int
	Reason string // what else is to be known, e.g. a redirect that wasn't followed
	Body   string // the beginning of the answer
}

func (e *StatusError) Error() string {
	s := fmt.Sprintf("POST %s: answered %d %s", e.URL, e.Code, http.StatusText(e.Code))
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	if e.Body != "" {
		s += ": " + e.Body
	}
	return s
}

const (
	maxAnswer    = 64 << 10 // how much of an answer is read
	maxAnswerMsg = 2 << 10  // how much of it an error keeps
	maxRedirects = 5
	maxRelease   = 24 * time.Hour
)

// poster posts jobs to one URL.
type poster struct {
	url    string
	shown  string // in messages: a URL may hold secrets
	o      URLOptions
	client http.Client
}

// URL returns a handler that posts jobs to target, an absolute http or https
// URL. It returns an error if target or a header can't be used. The contract
// with the server is in the package's documentation.
func URL(target string, o *URLOptions) (spool.HandlerFunc, error) {
	u, err := url.Parse(target)
	switch {
	case err != nil:
		// Its text repeats the URL, secrets and all.
		return nil, errors.New("the url can't be read: write it as https://host/path")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("the url %s is not absolute: write it as https://host/path", shown(u))
	}
	p := &poster{url: target, shown: shown(u)}
	if o != nil {
		p.o = *o
	}
	for name, value := range p.o.Headers {
		if !isToken(name) || headerText(value) != value {
			return nil, fmt.Errorf("the header %q is not one that can be sent: no blanks in its name, no control characters in its value", name)
		}
	}
	if p.o.Client != nil {
		p.client = *p.o.Client
	} else {
		p.client.Transport = transport()
	}
	p.client.CheckRedirect = sameHost
	return p.handle, nil
}

// transport is the default one with room for the jobs of a busy worker.
func transport() http.RoundTripper {
	def, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport // the application has replaced it
	}
	t := def.Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.IdleConnTimeout = 256, 256, 30*time.Second
	return t
}

// shown is a URL without its secrets.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// sameHost follows redirects that send the payload again, to the same host.
func sameHost(req *http.Request, via []*http.Request) error {
	first, last := via[0].URL, via[len(via)-1].URL
	safe := req.URL.Scheme == last.Scheme || req.URL.Scheme == "https"
	if len(via) > maxRedirects || req.Method != http.MethodPost || req.URL.Host != first.Host || !safe {
		return http.ErrUseLastResponse
	}
	return nil
}

func (p *poster) handle(ctx context.Context, job *spool.Job) error {
	if p.o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.o.Timeout, fmt.Errorf("no answer within %v", p.o.Timeout))
		defer cancel()
	}
	req, err := p.request(ctx, job)
	if err != nil {
		return fmt.Errorf("POST %s: %w", p.shown, err)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return p.broken(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	return p.judge(ctx, res)
}

// broken is the error of a request without an answer.
func (p *poster) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the rest repeats the URL, secrets and all
	}
	return fmt.Errorf("POST %s: %w", p.shown, err)
}

func (p *poster) request(ctx context.Context, job *spool.Job) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(job.Body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Spool")
	for name, value := range p.o.Headers {
		if strings.EqualFold(name, "Host") {
			req.Host = value
		} else {
			req.Header.Set(name, value)
		}
	}
	for name, value := range map[string]string{
		"Name": job.Name, "Id": job.ID, "Uuid": job.UUID, "Queue": job.Queue,
		"Connection": job.Connection, "Attempt": strconv.Itoa(job.Attempt),
	} {
		req.Header.Set("Spool-Job-"+name, headerText(value))
	}
	if p.o.Secret != "" {
		req.Header.Set("Spool-Signature", sign(p.o.Secret, time.Now(), job.Body))
	}
	return req, nil
}

// sign returns the value of Spool-Signature.
func sign(secret string, now time.Time, body []byte) string {
	t := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// judge turns an answer into the outcome of its job.
func (p *poster) judge(ctx context.Context, res *http.Response) error {
	body := io.LimitReader(res.Body, maxAnswer)
	text := procgroup.NewTail(maxAnswerMsg + 1) // one more, so that it is never full
	_, err := io.Copy(text, io.LimitReader(body, maxAnswerMsg))
	if err == nil {
		_, err = io.Copy(io.Discard, body)
	}
	switch code := res.StatusCode; {
	case code >= 200 && code < 300 && err != nil:
		return fmt.Errorf("the answer broke off: %w", p.broken(ctx, err))
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		if d, ok := retryAfter(res.Header.Get("Retry-After"), time.Now()); ok {
			return spool.Release(d)
		}
	}
	e := &StatusError{URL: p.shown, Code: res.StatusCode, Body: text.Text()}
	if loc, err := res.Location(); err == nil && res.StatusCode < 400 {
		e.Reason = "a redirect to " + shown(loc) + ", which is not followed: only 307 and 308 to the same host are, five times at most"
	}
	return e
}

// retryAfter reads a Retry-After header: seconds or a date.
func retryAfter(s string, now time.Time) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return time.Duration(min(n, uint64(maxRelease/time.Second))) * time.Second, true
	} else if errors.Is(err, strconv.ErrRange) {
		return maxRelease, true
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), maxRelease), true
}

// headerText replaces what can't stand in a header's value.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// isToken says whether s can be a header's name (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
