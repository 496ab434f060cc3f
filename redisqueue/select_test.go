package redisqueue

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

// choosing selects the jobs that mixed calls "mine".
func choosing() *driver.Selection {
	return &driver.Selection{Keys: []string{`"job":"`}, Names: []string{"mine"}, End: `"`}
}

// mixed pushes foreign jobs of a size, then one of ours.
func mixed(t testing.TB, c *Conn, queue string, foreign, size int) {
	t.Helper()
	ms := make([]driver.Message, 0, foreign+1)
	for i := range foreign {
		ms = append(ms, driver.Message{Body: fmt.Appendf(nil, `{"job":"foreign","data":"%s","id":"%d","attempts":0}`, strings.Repeat("x", size), i)})
	}
	ms = append(ms, driver.Message{Body: fmt.Appendf(nil, `{"job":"mine","id":"m%d","attempts":0}`, foreign)})
	if _, err := c.Push(t.Context(), queue, ms); err != nil {
		t.Fatal(err)
	}
}

// takes fails the test unless a selection takes so many jobs.
func takes(t testing.TB, c *Conn, queue string, s *driver.Selection, want int) {
	t.Helper()
	rs, err := c.ReserveMatching(t.Context(), queue, 10, s)
	if err != nil || len(rs) != want {
		t.Fatalf("%d jobs were taken (%v), want %d", len(rs), err, want)
	}
}

// Where no job is small enough to go on from cheaply, a large one serves.
func TestSelectBehindLargeJobs(t *testing.T) {
	c := connect(t, open(t, testserver.Redis(t)), Options{})
	mixed(t, c, "large", 3*selectChunk, 5000)
	takes(t, c, "large", choosing(), 1)
}

// Redis before 6.0.6 doesn't know the command that finds a job's place.
func TestSelectOnOldServers(t *testing.T) {
	c := connect(t, open(t, testserver.NewRedis(t, "--rename-command", "LPOS", "").Addr), Options{})
	s := choosing()
	for range 2 {
		mixed(t, c, "old", 2*selectChunk+50, 10)
		takes(t, c, "old", s, 1)
	}
	takes(t, c, "old", s, 0)
}

// A job that is put back behind others, byte for byte the same, hides none of
// those before it.
func TestSelectIsNotLedAstray(t *testing.T) {
	client := open(t, testserver.Redis(t))
	c := connect(t, client, Options{})
	s := choosing()
	mixed(t, c, "q", 5, 10)
	takes(t, c, "q", s, 1) // and remembers the fifth
	key := c.keys("q").ready
	last := `{"job":"foreign","data":"xxxxxxxxxx","id":"4","attempts":0}`
	if n, err := client.Do(t.Context(), client.B().Lrem().Key(key).Count(1).Element(last).Build()).ToInt64(); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	mixed(t, c, "q", 0, 0)
	if err := client.Do(t.Context(), client.B().Rpush().Key(key).Element(last).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	takes(t, c, "q", s, 1)
	// Nor where the list has become shorter meanwhile.
	mixed(t, c, "q", 50, 10)
	takes(t, c, "q", s, 1)
	if err := client.Do(t.Context(), client.B().Del().Key(key).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	mixed(t, c, "q", 0, 0)
	last = strings.Replace(last, `"4"`, `"49"`, 1)
	if err := client.Do(t.Context(), client.B().Rpush().Key(key).Element(last).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	takes(t, c, "q", s, 1)
}

// A server that takes no more jobs still gives them out, from the middle too.
func TestSelectWhenOutOfMemory(t *testing.T) {
	server := testserver.NewRedis(t, "--maxmemory-policy", "noeviction")
	client := open(t, server.Addr)
	c := connect(t, client, Options{})
	mixed(t, c, "full", 20, 10)
	if err := client.Do(t.Context(), client.B().ConfigSet().ParameterValue().ParameterValue("maxmemory", "1").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Push(t.Context(), "full", []driver.Message{{Body: []byte(`{"id":"x","attempts":0}`)}}); err == nil {
		t.Fatal("the server isn't full")
	}
	takes(t, c, "full", choosing(), 1)
	size, err := c.Size(t.Context(), "full")
	if err != nil || size.Pending != 20 || size.Reserved != 1 {
		t.Fatalf("%+v, %v", size, err)
	}
}

// A worker that was woken by a job of another's wakes that other.
func TestSelectPassesTheWakeUpOn(t *testing.T) {
	client := open(t, testserver.Redis(t))
	c := connect(t, client, Options{})
	s := choosing()
	if _, err := c.Push(t.Context(), "q", []driver.Message{{Body: []byte(`{"job":"foreign","id":"1","attempts":0}`)}}); err != nil {
		t.Fatal(err)
	}
	notify := c.keys("q").notify
	if err := client.Do(t.Context(), client.B().Blpop().Key(notify).Timeout(1).Build()).Error(); err != nil { // as Wait does
		t.Fatal(err)
	}
	for range 3 {
		takes(t, c, "q", s, 0)
		if n, err := client.Do(t.Context(), client.B().Llen().Key(notify).Build()).ToInt64(); err != nil || n != 1 {
			t.Errorf("%d elements wake others, want 1: %v", n, err)
		}
	}
}

// BenchmarkSelect takes jobs from behind others that are not wanted, and looks
// in vain.
func BenchmarkSelect(b *testing.B) {
	for _, foreign := range []int{0, 1000, 10_000} {
		for _, found := range []bool{true, false} {
			b.Run(fmt.Sprintf("foreign=%d/found=%v", foreign, found), func(b *testing.B) {
				c := connect(b, open(b, testserver.Redis(b)), Options{})
				mixed(b, c, "q", foreign, 500)
				s := choosing()
				takes(b, c, "q", s, 1)
				for b.Loop() {
					want := 0
					if found {
						b.StopTimer()
						ms := make([]driver.Message, 10)
						for i := range ms {
							ms[i].Body = fmt.Appendf(nil, `{"job":"mine","data":"%s","id":"n%d-%d","attempts":0}`, strings.Repeat("x", 500), b.N, i)
						}
						if _, err := c.Push(b.Context(), "q", ms); err != nil {
							b.Fatal(err)
						}
						want = 10
						b.StartTimer()
					}
					takes(b, c, "q", s, want)
				}
			})
		}
	}
}
