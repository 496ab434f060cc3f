package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spoolq/spool/schedule"
)

// zone loads a time zone.
func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

const clock = "2006-01-02 15:04 MST"

// ticks lists the first moments of an expression after a time.
func ticks(t *testing.T, expr string, after time.Time, n int) []string {
	t.Helper()
	var all []string
	for range n {
		next, err := schedule.Next(expr, after, after.Location())
		if err != nil {
			t.Fatal(err)
		}
		all, after = append(all, next.Format(clock)), next
	}
	return all
}

// When clocks are put forward, what would be due in the hour that is left out is
// due once, when that hour would have begun; when they are put back, what is due
// round the clock is due in both hours, and what names its hours in the first.
func TestClocksThatAreChanged(t *testing.T) {
	for _, c := range []struct {
		what, zone, after, expr string
		want                    []string
	}{
		{"daily, in the hour left out", "Europe/Berlin", "2026-03-28 12:00", "30 2 * * *", []string{"2026-03-29 03:00 CEST", "2026-03-30 02:30 CEST"}},
		{"several times in it", "Europe/Berlin", "2026-03-28 12:00", "*/15 2 * * *", []string{"2026-03-29 03:00 CEST", "2026-03-30 02:00 CEST", "2026-03-30 02:15 CEST"}},
		{"at its end", "Europe/Berlin", "2026-03-28 12:00", "0 3 * * *", []string{"2026-03-29 03:00 CEST", "2026-03-30 03:00 CEST"}},
		{"before it", "Europe/Berlin", "2026-03-28 12:00", "59 1 * * *", []string{"2026-03-29 01:59 CET", "2026-03-30 01:59 CEST"}},
		{"round the clock, over it", "Europe/Berlin", "2026-03-29 01:20", "*/20 * * * *", []string{"2026-03-29 01:40 CET", "2026-03-29 03:00 CEST", "2026-03-29 03:20 CEST"}},
		{"every two hours, over it", "Europe/Berlin", "2026-03-29 00:00", "0 */2 * * *", []string{"2026-03-29 03:00 CEST", "2026-03-29 04:00 CEST"}},
		{"on another day", "Europe/Berlin", "2026-03-28 12:00", "30 2 * * 1", []string{"2026-03-30 02:30 CEST", "2026-04-06 02:30 CEST"}},
		{"daily, in the hour repeated", "Europe/Berlin", "2026-10-24 12:00", "30 2 * * *", []string{"2026-10-25 02:30 CEST", "2026-10-26 02:30 CET"}},
		{"at its end", "Europe/Berlin", "2026-10-24 12:00", "0 3 * * *", []string{"2026-10-25 03:00 CET", "2026-10-26 03:00 CET"}},
		{"every two hours, in it", "Europe/Berlin", "2026-10-25 00:00", "0 */2 * * *", []string{"2026-10-25 02:00 CEST", "2026-10-25 04:00 CET"}},
		{"round the clock, in it", "Europe/Berlin", "2026-10-25 01:40", "*/30 * * * *", []string{"2026-10-25 02:00 CEST", "2026-10-25 02:30 CEST", "2026-10-25 02:00 CET", "2026-10-25 02:30 CET", "2026-10-25 03:00 CET"}},
		{"in New York", "America/New_York", "2026-03-07 12:00", "30 2 * * *", []string{"2026-03-08 03:00 EDT", "2026-03-09 02:30 EDT"}},
		{"half an hour, left out", "Australia/Lord_Howe", "2026-10-03 12:00", "15 2 * * *", []string{"2026-10-04 02:30 +11", "2026-10-05 02:15 +11"}},
		{"half an hour, repeated", "Australia/Lord_Howe", "2026-04-04 12:00", "45 1 * * *", []string{"2026-04-05 01:45 +11", "2026-04-06 01:45 +1030"}},
		{"midnight left out", "Africa/Cairo", "2026-04-23 12:00", "0 0 * * *", []string{"2026-04-24 01:00 EEST", "2026-04-25 00:00 EEST"}},
		{"a whole day left out", "Pacific/Apia", "2011-12-29 12:00", "0 8 * * *", []string{"2011-12-31 00:00 +14", "2011-12-31 08:00 +14"}},
		{"where clocks are left alone", "Asia/Shanghai", "2026-03-27 12:00", "0 8 * * 1-5", []string{"2026-03-30 08:00 CST", "2026-03-31 08:00 CST"}},
		{"a leap day", "Europe/Berlin", "2026-01-01 00:00", "0 12 29 2 *", []string{"2028-02-29 12:00 CET", "2032-02-29 12:00 CET"}},
	} {
		t.Run(strings.ReplaceAll(c.what+" "+c.expr, "/", "÷"), func(t *testing.T) {
			after, err := time.ParseInLocation("2006-01-02 15:04", c.after, zone(t, c.zone))
			if err != nil {
				t.Fatal(err)
			}
			if got := ticks(t, c.expr, after, len(c.want)); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// What Laravel's own parser knows beyond plain cron.
func TestExpressions(t *testing.T) {
	after := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) // a Thursday
	for expr, want := range map[string]string{
		"@daily": "2026-01-02 00:00 UTC", "@HOURLY": "2026-01-01 01:00 UTC", "@yearly": "2027-01-01 00:00 UTC",
		"0 0 L * *": "2026-01-31 00:00 UTC", "0 0 15W 2 *": "2026-02-16 00:00 UTC", "0 0 * * 5L": "2026-01-30 00:00 UTC",
		"0 0 * * MON#2": "2026-01-12 00:00 UTC", "0 0 * * sun": "2026-01-04 00:00 UTC", "0 0 * * 7": "2026-01-04 00:00 UTC",
		"0 0 * * MON-WED": "2026-01-05 00:00 UTC", "0 0 1 jul ?": "2026-07-01 00:00 UTC", "0 0 13 * 5": "2026-01-02 00:00 UTC", "  5   4 * * *  ": "2026-01-01 04:05 UTC",
		"10-20/5 1,3 * * *": "2026-01-01 01:10 UTC",
	} {
		if got := ticks(t, expr, after, 1); got[0] != want {
			t.Errorf("%s: %s, want %s", expr, got[0], want)
		}
	}
	for expr, want := range map[string]string{
		"": "0 fields", "* * * *": "4 fields", "* * * * * *": "6 fields", "60 * * * *": `minute "60"`, "* 24 * * *": `hour "24"`,
		"0 0 * * 1,9": `day of the week "9"`, "0 0 * * MON,TUESDAY": `day of the week "TUESDAY"`, "0 0 0 * *": `day of the month "0"`,
		"0 0 * 13 *": `month "13"`, "1-2-3 * * * *": `minute "1-2-3"`, "*/0 * * * *": `minute "*/0"`, "5-2 * * * *": `minute "5-2"`,
		"MON * * * *": `minute "MON"`, "0 0 30 2 *": "no such day", "0 0 31 4,6,9,11 *": "no such day", "@reboot": "there is @annually", "1,,2 * * * *": `minute ""`,
		"0 0 L-3 * *": `day of the month "L-3"`, "0 0 * FOO *": `month "FOO"`, "0 0 * * MON#6": "no such day",
	} {
		if _, err := schedule.Next(expr, after, time.UTC); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want the words %q", expr, err, want)
		}
	}
}

// field is a random field of an expression and what it means.
func field(r *rand.Rand, low, high int) (string, func(int) bool) {
	span := high - low
	switch a := low + r.IntN(span+1); r.IntN(4) {
	case 0:
		return "*", func(int) bool { return true }
	case 1:
		step := 2 + r.IntN(span)
		return fmt.Sprintf("*/%d", step), func(v int) bool { return (v-low)%step == 0 }
	case 2:
		b := a + r.IntN(high-a+1)
		return fmt.Sprintf("%d-%d", a, b), func(v int) bool { return a <= v && v <= b }
	default:
		b := low + r.IntN(span+1)
		return fmt.Sprintf("%d,%d", a, b), func(v int) bool { return v == a || v == b }
	}
}

// Random expressions are due when their fields say so, and at no other minute.
func TestExpressionsMeanWhatTheySay(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	for range 60 {
		minute, isMinute := field(r, 0, 59)
		hour, isHour := field(r, 0, 23)
		day, isDay := field(r, 1, 28)
		month, isMonth := field(r, 1, 12)
		week, isWeek := field(r, 0, 6)
		expr := strings.Join([]string{minute, hour, day, month, week}, " ")
		either := day[0] != '*' && week[0] != '*'
		from := time.Date(2026, time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), 0, time.UTC)
		next, err := schedule.Next(expr, from, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		want := from.Truncate(time.Minute).Add(time.Minute)
		for steps := 0; steps < 4_000_000 && !next.Before(want); want = want.Add(time.Minute) {
			dom, dow := isDay(want.Day()), isWeek(int(want.Weekday()))
			if isMinute(want.Minute()) && isHour(want.Hour()) && isMonth(int(want.Month())) && (dom && dow || either && (dom || dow)) {
				break
			}
			steps++
		}
		if !next.Equal(want) {
			t.Errorf("%s is due at %v after %v, want %v", expr, next, from, want)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	loc := zone(b, "Europe/Berlin")
	for _, expr := range []string{"* * * * *", "0 8 * * 1-5", "0 12 29 2 *"} {
		b.Run(strings.ReplaceAll(expr, "/", "÷"), func(b *testing.B) {
			at := time.Date(2026, 1, 1, 0, 0, 0, 0, loc)
			for b.Loop() {
				if _, err := schedule.Next(expr, at, loc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// No text makes the parser do worse than refuse it.
func FuzzCron(f *testing.F) {
	for _, s := range []string{"0 8 * * 1-5", "*/15 0-6/2 L 2 5#3", "0 0 15W FEB ?", "@daily", "1,,2 * * * *"} {
		f.Add(s)
	}
	after := time.Date(2026, 3, 28, 23, 59, 59, 0, time.UTC)
	berlin := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, expr string) {
		next, err := schedule.Next(expr, after, berlin)
		if err == nil && !next.IsZero() && !next.After(after) {
			t.Errorf("%q is due at %v after %v", expr, next, after)
		}
	})
}
