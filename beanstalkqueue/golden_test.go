package beanstalkqueue

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

// A scenario is what the real Laravel did, and the bytes of its commands. See
// testdata/README.md.
type scenario struct {
	Scenario string
	Steps    []step
}

type step struct {
	Do, Sent string
	Attempts int
	Body     string
}

// A relay passes bytes on and keeps those that the client sent.
type relay struct {
	net.Listener
	mu   sync.Mutex
	sent []byte
}

// newRelay listens before the server at addr.
func newRelay(t *testing.T, addr string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			running.Go(func() { r.pass(server, client, true) })
			running.Go(func() { r.pass(client, server, false) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	return r
}

func (r *relay) pass(to, from net.Conn, keep bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if keep {
			r.mu.Lock()
			r.sent = append(r.sent, buf[:n]...)
			r.mu.Unlock()
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			_ = to.Close()
			_ = from.Close()
			return
		}
	}
}

// take returns what was sent since the last call, without the commands by
// which the driver watches the server.
func (r *relay) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := strings.ReplaceAll(string(r.sent), "list-tube-used\r\n", "")
	r.sent = nil
	return strings.TrimPrefix(s, "stats\r\n")
}

func TestLaravelSendsTheSame(t *testing.T) {
	text, err := os.ReadFile("testdata/laravel-8.83.26.json")
	if err != nil {
		t.Fatal(err)
	}
	var scenarios []scenario
	if err := json.Unmarshal(text, &scenarios); err != nil {
		t.Fatal(err)
	}
	for _, sc := range scenarios {
		t.Run(sc.Scenario, func(t *testing.T) {
			t.Parallel()
			r := newRelay(t, testserver.NewBeanstalkd(t).Addr)
			p := &replay{T: t, c: open(t, r.Addr().String(), nil)}
			r.take()
			for i, st := range sc.Steps {
				want := p.play(st)
				if diff := cmp.Diff(ids.ReplaceAllString(want, "$1 N"), ids.ReplaceAllString(r.take(), "$1 N")); diff != "" {
					t.Errorf("step %d, %s: Laravel sends other commands (-) than we do (+):\n%s", i, st.Do, diff)
				}
			}
		})
	}
}

var ids = regexp.MustCompile(`(?m)^(stats-job|delete|release|touch) \d+`)

// replay does with a Conn what Laravel did.
type replay struct {
	*testing.T
	c    *Conn
	held []driver.Reservation
}

// play does a step and returns the commands that should have been sent.
func (p *replay) play(st step) string {
	p.Helper()
	ctx := context.Background()
	verb, arg, _ := strings.Cut(st.Do, " ")
	switch verb {
	case "dispatch":
		queue := "default"
		if _, q, ok := strings.Cut(arg, "--queue="); ok {
			queue = q
		}
		if _, err := p.c.Push(ctx, queue, puts(p.T, st.Sent)); err != nil {
			p.Fatal(err)
		}
	case "pop":
		return p.pop(st)
	case "delete":
		p.must(p.c.Delete(ctx, p.held))
	case "release":
		n, err := strconv.Atoi(arg)
		p.must(err)
		p.must(p.c.Release(ctx, p.held, time.Duration(n)*time.Second))
	case "artisan": // a worker on high,low: its first job is enough
		reserve(p.T, p.c, "high", 1)
		first, _, _ := strings.Cut(st.Sent, "delete")
		return first
	default:
		p.Fatalf("unknown step %q", st.Do)
	}
	return st.Sent
}

func (p *replay) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// pop reserves a job and compares it with what Laravel got.
func (p *replay) pop(st step) string {
	p.Helper()
	want := st.Sent
	if rest, ok := strings.CutPrefix(st.Sent, "reserve-with-timeout 1\r\n"); ok {
		// block_for: it blocks on another connection, which first leaves none of
		// its tubes and asks for the same, and Reserve finds the job there.
		p.c.mu.Lock()
		p.c.reserved = time.Now()
		p.c.mu.Unlock()
		p.must(p.c.Wait(context.Background(), []string{"default"}, time.Second))
		want = "reserve-with-timeout 1\r\n" + rest
		if rest == "" {
			return want
		}
	}
	rs, err := p.c.Reserve(context.Background(), "default", 1)
	p.must(err)
	p.held = rs
	if st.Attempts == 0 {
		if len(rs) > 0 {
			p.Errorf("Reserve returned %d jobs, Laravel none", len(rs))
		}
		return want
	}
	if len(rs) != 1 || rs[0].Attempts != st.Attempts || string(rs[0].Body) != st.Body {
		p.Errorf("Reserve returned %+v, Laravel attempt %d of %s", rs, st.Attempts, st.Body)
	}
	return want
}

// puts reads messages from put commands.
func puts(t *testing.T, sent string) []driver.Message {
	t.Helper()
	var ms []driver.Message
	for rest := []byte(sent); len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		f := strings.Fields(string(line))
		if f[0] != "put" {
			continue
		}
		delay, err := strconv.Atoi(f[2])
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(f[4])
		if err != nil {
			t.Fatal(err)
		}
		ms = append(ms, driver.Message{Body: rest[:n], Delay: time.Duration(delay) * time.Second})
		rest = rest[n+2:]
	}
	if len(ms) == 0 {
		t.Fatal("no put in " + sent)
	}
	return ms
}
