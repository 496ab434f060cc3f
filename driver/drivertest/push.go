package drivertest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/spoolq/spool/driver"
)

func generalCases() []testCase {
	return []testCase{
		{name: "traits make sense", run: traitsMakeSense},
		{name: "ping finds the backend there", needs: []capability{pings}, run: func(f *fixture) {
			f.must("Ping", f.c.(driver.Pinger).Ping(f.ctx()))
		}},
		{name: "advise has no error", needs: []capability{advises}, run: func(f *fixture) {
			_, err := f.c.(driver.Advisor).Advise(f.ctx())
			f.must("Advise", err)
		}},
	}
}

func traitsMakeSense(f *fixture) {
	t := f.traits
	if t.Driver == "" {
		f.Error("Traits.Driver is empty")
	}
	if t.Resolution <= 0 {
		f.Errorf("Traits.Resolution is %v, want the unit of delays", t.Resolution)
	}
	if t.Lease != 0 && t.Lease < driver.MinLease {
		f.Errorf("Traits.Lease is %v, under driver.MinLease (%v)", t.Lease, driver.MinLease)
	}
	if is[driver.Extender](f.c) && t.Lease > 0 && (t.Renew <= 0 || t.Renew >= t.Lease) {
		f.Errorf("Traits.Renew is %v, want it between 0 and the lease of %v", t.Renew, t.Lease)
	}
	if f.c.Traits() != t {
		f.Error("Traits changed between two calls")
	}
}

func pushCases() []testCase {
	stored := []capability{storage}
	return []testCase{
		{name: "push of nothing returns no ids", run: func(f *fixture) {
			if ids, err := f.c.Push(f.ctx(), f.queue("none"), nil); len(ids) != 0 || err != nil {
				f.Errorf("Push of nothing returned %q and %v", ids, err)
			}
		}},
		{name: "push returns one id for each message", run: pushReturnsIDs},
		{name: "push keeps order", needs: []capability{storage, order}, run: pushKeepsOrder},
		{name: "push in bulk stores every message", needs: stored, run: pushInBulk},
		{name: "queues are apart", needs: stored, run: queuesAreApart},
		{name: "push doesn't keep the caller's slice", needs: stored, run: pushCopies},
		{name: "reserve gives the body away", needs: stored, run: reserveCopies},
		{name: "bodies that look like attempts come back as they were", needs: stored, run: lookAlikes},
		{name: "bodies of other layouts come back as they were", needs: stored, run: layouts},
		{name: "bodies of any text come back as they were", needs: []capability{storage, freeBodies}, run: anyText},
		{name: "bodies of any bytes come back as they were", needs: []capability{storage, binary}, run: anyBytes},
	}
}

func pushReturnsIDs(f *fixture) {
	q := f.queue("ids")
	ss := f.newSamples(20)
	ids := f.pushSamples(f.c, q, ss...)
	ids = append(ids, f.pushSamples(f.c, q, f.sample(`1`))...)
	seen := map[string]bool{}
	for _, id := range ids {
		if id == "" || seen[id] {
			f.Errorf("Push returned the ids %q, want them distinct and not empty", ids)
			break
		}
		seen[id] = true
	}
	if ids[0] == ss[0].ID || f.traits.CountsInBody {
		f.sameOrderOf(ids[:len(ss)], sampleIDs(ss), "Push gave the messages' own ids, but not to all")
	}
}

func (f *fixture) newSamples(n int) []sample {
	ss := make([]sample, n)
	for i := range ss {
		ss[i] = f.sample(fmt.Sprintf(`{"n":%d}`, i))
	}
	return ss
}

func (f *fixture) sameOrderOf(got, want []string, complaint string) {
	f.Helper()
	if !slices.Equal(got, want) {
		f.Errorf("%s: %s", complaint, diff(got, want))
	}
}

func pushKeepsOrder(f *fixture) {
	q := f.queue("order")
	ss := f.push(f.c, q, 1, 0)
	ss = append(ss, f.push(f.c, q, 40, 0)...)
	ss = append(ss, f.push(f.other(), q, 1, 0)...)
	ss = append(ss, f.push(f.c, q, 7, 0)...)
	var got []string
	for _, n := range []int{1, 3, 1, 20, 24} {
		got = append(got, f.idsOf(f.reserveN(f.other(), q, n))...)
	}
	f.sameOrder(got, sampleIDs(ss))
	f.none(f.c, q, "all were reserved")
}

func pushInBulk(f *fixture) {
	const n = 1500
	q := f.queue("bulk")
	ss := f.push(f.c, q, n, 0)
	var got []string
	for len(got) < n {
		rs := f.reserveN(f.c, q, min(n-len(got), 400))
		got = append(got, f.idsOf(rs)...)
		f.must("Delete", f.c.Delete(f.ctx(), rs))
	}
	f.sameSet(got, sampleIDs(ss))
	f.none(f.c, q, "all were deleted")
}

func queuesAreApart(f *fixture) {
	a, b := f.queue("a"), f.queue("b")
	inA, inB := f.push(f.c, a, 2, 0), f.push(f.c, b, 2, 0)
	f.sameSet(f.idsOf(f.reserve(f.c, a, 10)), sampleIDs(inA))
	f.sameSet(f.idsOf(f.reserve(f.c, b, 10)), sampleIDs(inB))
}

func pushCopies(f *fixture) {
	q := f.queue("scribble")
	s := f.sample(`"mine"`)
	body := bytes.Clone(s.Body)
	pushed := s
	pushed.Body = body
	f.pushSamples(f.c, q, pushed)
	scribble(body)
	f.one(f.c, q, 1) // compares the body with that of s
}

func reserveCopies(f *fixture) {
	q := f.queue("scribble")
	f.push(f.c, q, 2, 0)
	rs := f.reserveN(f.c, q, 2)
	for _, r := range rs {
		scribble(r.Body[:cap(r.Body)])
	}
	f.must("Release", f.c.Release(f.ctx(), rs, 0))
	f.reserveN(f.c, q, 2) // compares the bodies
}

func scribble(b []byte) {
	for i := range b {
		b[i] = '#'
	}
}

// lookAlikes are bodies whose data tempts a driver that edits text.
func lookAlikes(f *fixture) {
	for _, data := range []string{
		`{"attempts":3}`, `"\"attempts\":3"`, `[{"attempts":0},{"attempts":0}]`, `{"id":"another","attempts":"many"}`,
		`"tags []"`, `{"tags":[],"none":{},"big":12345678901234567,"float":1.0,"e":1e2}`, `"a\/b\/c"`, `"\u00e9\ud83d\ude00"`,
		quote("日本語 ünïcødé 😀 \u2028 \u0000 \x7f"), quote("back\\slash \"quote\" %s %d ? $1 :name {0} '"),
		`"O:8:\"stdClass\":1:{s:8:\"attempts\";i:3;}"`, `null`, `{"deep":[[[[{"attempts":{"attempts":1}}]]]]}`,
	} {
		f.roundTrip(f.sample(data), data)
	}
}

// layouts are JSON objects with the members in other orders and spacing, as
// other producers write them.
func layouts(f *fixture) {
	for _, layout := range []string{
		`{"attempts":%[2]d,"id":"%[1]s","data":{"attempts":7}}`,
		`{"data":{"attempts":7},"attempts":%[2]d,"id":"%[1]s"}`,
		`{"uuid":"u","data":{"command":"{\"attempts\":0}"},"id":"%[1]s","attempts":%[2]d,"tags":[],"pushedAt":"1.5"}`,
		"{\n  \"id\": \"%[1]s\",\n  \"attempts\": %[2]d,\n  \"data\": {\"attempts\": 0}\n}",
	} {
		f.roundTrip(f.shaped(func(id string, n int) string { return fmt.Sprintf(layout, id, n) }), layout)
	}
}

// roundTrip takes one job through three deliveries; reserve compares its body
// each time.
func (f *fixture) roundTrip(s sample, what string) {
	f.Helper()
	q := f.queue("bytes")
	f.pushSamples(f.c, q, s)
	for attempt := 1; attempt <= 3; attempt++ {
		r := f.one(f.c, q, attempt)
		if attempt < 3 {
			f.must("Release", f.c.Release(f.ctx(), []driver.Reservation{r}, 0))
		} else {
			f.must("Delete", f.c.Delete(f.ctx(), []driver.Reservation{r}))
		}
	}
	f.none(f.c, q, "deleted: "+what)
}

func anyText(f *fixture) {
	for _, body := range []string{"x", "not JSON", `"just a string"`, "[1,2]", "{", "日本語 😀", "line\nline\r\n\ttab ", " spaces ", `\ \\ ' '' " ; --`} {
		f.rawRoundTrip([]byte(body))
	}
}

func anyBytes(f *fixture) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	f.rawRoundTrip(all)
	f.rawRoundTrip([]byte{0})
	f.rawRoundTrip([]byte{0xff, 0xfe, 0})
}

// rawRoundTrip is roundTrip for a body that the suite can't put an id into.
func (f *fixture) rawRoundTrip(body []byte) {
	f.Helper()
	q := f.queue("bytes")
	if _, err := f.c.Push(f.ctx(), q, []driver.Message{{Body: body}}); err != nil {
		f.Errorf("Push of %q: %v", body, err)
		return
	}
	for attempt := 1; attempt <= 2; attempt++ {
		rs, err := f.c.Reserve(f.ctx(), q, 1)
		if err != nil || len(rs) != 1 {
			f.Fatalf("Reserve of %q returned %d jobs and %v", body, len(rs), err)
		}
		if !bytes.Equal(rs[0].Body, body) {
			f.Errorf("body is %q, want %q", rs[0].Body, body)
		}
		f.must("Release", f.c.Release(f.ctx(), rs, 0))
	}
}
