package redisqueue

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/rueidis"

	"github.com/spoolq/spool/driver"
	"github.com/spoolq/spool/internal/testserver"
)

// A scenario is what the real Laravel did, and what it left in Redis after
// every step. See testdata/README.md.
type scenario struct {
	Client, Scenario, Prefix string
	Steps                    []struct {
		Do     string
		Time   int64
		Keys   []phpKey
		Popped *struct {
			Attempts int
			Body     string
		}
	}
}

type phpKey struct {
	Key, Type string
	Value     json.RawMessage
}

// stored is the content of a queue's keys: lists in order, and for each set
// the members with their scores as seconds from now, without the marks of our
// own deliveries.
type stored struct {
	Ready, Notify     []string
	Delayed, Reserved map[string]int64
}

func (s scenario) stored(t *testing.T, i int) stored {
	t.Helper()
	st := stored{Delayed: map[string]int64{}, Reserved: map[string]int64{}}
	if i < 0 {
		return st
	}
	for _, k := range s.Steps[i].Keys {
		into := map[string]any{"": &st.Ready, ":notify": &st.Notify, ":delayed": st.Delayed, ":reserved": st.Reserved}
		name := strings.TrimPrefix(k.Key, s.Prefix+"queues:default")
		switch to := into[name].(type) {
		case *[]string:
			if err := json.Unmarshal(k.Value, to); err != nil {
				t.Fatal(err)
			}
		case map[string]int64:
			var members []struct{ Score, Member string }
			if err := json.Unmarshal(k.Value, &members); err != nil {
				t.Fatal(err)
			}
			for _, m := range members {
				score, err := strconv.ParseInt(m.Score, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				to[m.Member] = score - s.Steps[i].Time
			}
		default:
			t.Fatalf("no part of the queue is named %q", k.Key)
		}
	}
	return st
}

// write puts a state into Redis under the keys that PHP uses, and read reads
// it, both without the driver's help.
func (st stored) write(t *testing.T, client rueidis.Client, key string) {
	t.Helper()
	ctx := context.Background()
	now := time.Now().Unix()
	do := func(cmd rueidis.Completed) {
		t.Helper()
		if err := client.Do(ctx, cmd).Error(); err != nil {
			t.Fatal(err)
		}
	}
	do(client.B().Del().Key(key, key+":delayed", key+":reserved", key+":notify").Build())
	for _, v := range st.Ready {
		do(client.B().Rpush().Key(key).Element(v).Build())
	}
	for _, v := range st.Notify {
		do(client.B().Rpush().Key(key + ":notify").Element(v).Build())
	}
	for name, set := range map[string]map[string]int64{":delayed": st.Delayed, ":reserved": st.Reserved} {
		for member, in := range set {
			do(client.B().Zadd().Key(key+name).ScoreMember().ScoreMember(float64(now+in), member).Build())
		}
	}
}

func read(t *testing.T, client rueidis.Client, key string) stored {
	t.Helper()
	ctx := context.Background()
	st := stored{Delayed: map[string]int64{}, Reserved: map[string]int64{}}
	var err error
	if st.Ready, err = client.Do(ctx, client.B().Lrange().Key(key).Start(0).Stop(-1).Build()).AsStrSlice(); err != nil {
		t.Fatal(err)
	}
	if st.Notify, err = client.Do(ctx, client.B().Lrange().Key(key+":notify").Start(0).Stop(-1).Build()).AsStrSlice(); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	for name, set := range map[string]map[string]int64{":delayed": st.Delayed, ":reserved": st.Reserved} {
		members, err := client.Do(ctx, client.B().Zrange().Key(key+name).Min("0").Max("-1").Withscores().Build()).AsZScores()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			if name == ":delayed" && m.Score != math.Trunc(m.Score) {
				t.Errorf("score %v of %s is not a whole second", m.Score, name)
			}
			set[m.Member] = int64(m.Score) - now
		}
	}
	return st
}

// sameJob says whether two payloads are the same to PHP: cjson writes [] as {}
// and rounds big numbers.
func sameJob(a, b string) bool {
	var va, vb any
	if json.Unmarshal([]byte(a), &va) != nil || json.Unmarshal([]byte(b), &vb) != nil {
		return a == b
	}
	return reflect.DeepEqual(asPHP(va), asPHP(vb))
}

func asPHP(v any) any {
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			return map[string]any{}
		}
		for i := range v {
			v[i] = asPHP(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = asPHP(v[k])
		}
	case float64:
		return strconv.FormatFloat(v, 'g', 13, 64)
	}
	return v
}

// compare compares two states. Lists are the same byte by byte; members of the
// sets may be written differently by PHP, and their scores may be a second
// later, because we round up.
func compare(t *testing.T, got, want stored) {
	t.Helper()
	if diff := cmp.Diff(got.Ready, want.Ready, cmp.Comparer(func(a, b []string) bool { return slices.Equal(a, b) })); diff != "" {
		t.Errorf("ready list (-got +want):\n%s", diff)
	}
	if !slices.Equal(got.Notify, want.Notify) {
		t.Errorf("notify list is %q, want %q", got.Notify, want.Notify)
	}
	for _, set := range []struct {
		name      string
		got, want map[string]int64
	}{{"delayed", got.Delayed, want.Delayed}, {"reserved", got.Reserved, want.Reserved}} {
		if len(set.got) != len(set.want) {
			t.Errorf("%s set has %d members, want %d", set.name, len(set.got), len(set.want))
		}
		for member, in := range set.got {
			found := false
			for other, at := range set.want {
				if sameJob(member, other) {
					found = true
					if in < at-1 || in > at+1 {
						t.Errorf("%s: score is %d s from now, want %d", set.name, in, at)
					}
				}
			}
			if !found {
				t.Errorf("%s set has %s, want one of %v", set.name, member, set.want)
			}
		}
	}
}

// Each step is done by us on the state that PHP left before it, and must leave
// what PHP left after it.
func TestStateIsThatOfLaravel(t *testing.T) {
	text, err := os.ReadFile("testdata/laravel-8.83.26.json")
	if err != nil {
		t.Fatal(err)
	}
	var scenarios []scenario
	if err := json.Unmarshal(text, &scenarios); err != nil {
		t.Fatal(err)
	}
	client := open(t, testserver.Redis(t))
	done := map[string]int{}
	for _, s := range scenarios {
		t.Run(s.Client+"/"+s.Scenario, func(t *testing.T) {
			for i := range s.Steps {
				verb, _, _ := strings.Cut(s.Steps[i].Do, " ")
				done[verb]++
				s.step(t, client, i)
			}
		})
	}
	for _, verb := range []string{"dispatch", "pop", "delete", "release", "size", "artisan"} {
		if done[verb] == 0 {
			t.Errorf("no scenario does %s", verb)
		}
	}
}

func (s scenario) step(t *testing.T, client rueidis.Client, i int) {
	t.Helper()
	step := s.Steps[i]
	before, after := s.stored(t, i-1), s.stored(t, i)
	verb, arg, _ := strings.Cut(step.Do, " ")
	lease := driver.DefaultLease
	if verb == "pop" && len(after.Reserved) == 1 { // one scenario has leases too short for us
		member := only(after.Reserved)
		lease = max(time.Duration(after.Reserved[member])*time.Second, driver.MinLease)
		after.Reserved[member] = int64(lease / time.Second)
	}
	c := connect(t, client, Options{RetryAfter: lease})
	key := c.opts.Prefix + "queues:default"
	before.write(t, client, key)
	ctx := context.Background()
	var err error
	switch verb {
	case "sleep":
		return
	case "dispatch":
		_, err = c.Push(ctx, "default", pushed(before, after))
	case "pop":
		var rs []driver.Reservation
		rs, err = c.Reserve(ctx, "default", 1)
		if (len(rs) == 1) != (step.Popped != nil) {
			t.Fatalf("step %d, %s: %d jobs, PHP's answer was %v", i, step.Do, len(rs), step.Popped)
		}
		if len(rs) == 1 && (string(rs[0].Body) != step.Popped.Body || rs[0].Attempts != step.Popped.Attempts) {
			t.Errorf("step %d, %s: got %s (attempt %d), want %+v", i, step.Do, rs[0].Body, rs[0].Attempts, step.Popped)
		}
	case "delete":
		err = c.Delete(ctx, held(before))
	case "release":
		var n int
		if n, err = strconv.Atoi(arg); err == nil {
			err = c.Release(ctx, held(before), time.Duration(n)*time.Second)
		}
	case "size":
		var size driver.Size
		size, err = c.Size(ctx, "default")
		if want := int64(len(before.Ready) + len(before.Delayed) + len(before.Reserved)); size.Total() != want {
			t.Errorf("size is %d, want %d", size.Total(), want)
		}
	case "artisan": // queue:clear
		_, err = c.Clear(ctx, "default")
	default:
		t.Fatalf("step %q is not known", step.Do)
	}
	if err != nil {
		t.Fatalf("step %d, %s: %v", i, step.Do, err)
	}
	compare(t, read(t, client, key), after)
}

// pushed returns the messages that make after out of before.
func pushed(before, after stored) []driver.Message {
	var ms []driver.Message
	for _, body := range after.Ready[len(before.Ready):] {
		ms = append(ms, driver.Message{Body: []byte(body)})
	}
	for body, in := range after.Delayed {
		if _, old := before.Delayed[body]; !old {
			ms = append(ms, driver.Message{Body: []byte(body), Delay: time.Duration(in) * time.Second})
		}
	}
	return ms
}

// held returns the reservation of the only reserved job, as PHP wrote it.
func held(st stored) []driver.Reservation {
	member := only(st.Reserved)
	return []driver.Reservation{{Queue: "default", Body: []byte(member), Receipt: &receipt{member: member, mark: "0"}}}
}

func only(set map[string]int64) string {
	for member := range set {
		return member
	}
	return ""
}
