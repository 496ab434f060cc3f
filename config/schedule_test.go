package config

import (
	"strings"
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	cfg := load(t, write(t, map[string]string{"spool.yaml": `
schedule:
  - name: daily
    job: reports.daily
    data: '{"to": "boss"}'
    cron: 0 8 * * 1-5
    zone: Asia/Shanghai
    queue: reports
    catch_up: 3
  - {job: sync, every: 10m}
  - {job: party, at: 2030-01-31 06:00, connection: sync}
`}), &Options{})
	if len(cfg.Schedule) != 3 {
		t.Fatal(cfg.Schedule)
	}
	d := cfg.Schedule[0]
	if d.Name != "daily" || d.Cron != "0 8 * * 1-5" || d.Data != `{"to": "boss"}` || d.Zone != "Asia/Shanghai" || d.Queue != "reports" || d.CatchUp == nil || *d.CatchUp != 3 {
		t.Errorf("%+v", d)
	}
	if s := cfg.Schedule[1]; s.Job != "sync" || s.Every != 10*time.Minute || s.CatchUp != nil {
		t.Errorf("%+v", s)
	}
	at, err := cfg.Schedule[2].Moment(time.FixedZone("", 3600))
	if err != nil || !at.Equal(time.Date(2030, 1, 31, 5, 0, 0, 0, time.UTC)) {
		t.Error(at, err)
	}
}

func TestScheduleErrors(t *testing.T) {
	dir := write(t, map[string]string{"spool.yaml": `schedule:
  - cron: 0 8 * * *
  - {job: two, cron: 0 8 * * *, every: 5}
  - {job: none, queue: low}
  - {job: when, at: tomorrow}
  - {job: data, every: 5, data: 'to: boss'}
  - {job: map, every: 5, data: {to: boss}}
  - {job: where, every: 5, connection: redsi}
  - {job: twice, every: 5}
  - {job: other, name: twice, every: 5}
  - {job: word, every: 5, crn: x}
`})
	_, err := Load(&Options{Dir: dir})
	if err == nil {
		t.Fatal("it was taken")
	}
	text := strings.ReplaceAll(err.Error(), dir+"/", "")
	for _, want := range []string{"spool.yaml:7: schedule[5].data: must be a single value", `spool.yaml:11: schedule[9]: unknown key "crn"; did you mean cron?`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	dir = write(t, map[string]string{"spool.yaml": `schedule:
  - cron: 0 8 * * *
  - {job: two, cron: 0 8 * * *, every: 5}
  - {job: none, queue: low}
  - {job: when, at: tomorrow}
  - {job: data, every: 5, data: 'to: boss'}
  - {job: where, every: 5, connection: redsi}
  - {job: twice, every: 5}
  - {job: other, name: twice, every: 5}
`})
	_, err = Load(&Options{Dir: dir})
	if err == nil {
		t.Fatal("it was taken")
	}
	text = strings.ReplaceAll(err.Error(), dir+"/", "")
	for _, want := range []string{
		"spool.yaml:2: schedule[0].job: is empty", "spool.yaml:3: schedule[1].cron: needs exactly one of cron, every and at",
		"spool.yaml:4: schedule[2].cron: needs exactly one", `spool.yaml:5: schedule[3].at: "tomorrow" is no time`,
		"spool.yaml:6: schedule[4].data: is not JSON", `spool.yaml:7: schedule[5].connection: there is no connection "redsi"; did you mean redis?`,
		`spool.yaml:9: schedule[7].name: "twice" is the name of two entries`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
