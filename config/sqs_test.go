package config

import (
	"strings"
	"testing"
	"time"
)

func TestOverflowOfSQS(t *testing.T) {
	dir := write(t, map[string]string{"spool.yaml": `
laravel: 13
queue:
  connections:
    sqs: {driver: sqs, prefix: "https://sqs.eu-west-1.amazonaws.com/1", retry_after: 120}
    plain: {driver: sqs, overflow: {always: true, delete_after_processing: false}}
`})
	cfg := load(t, dir, &Options{Environ: []string{"SQS_OVERFLOW_ENABLED=true", "SQS_OVERFLOW_STORE=file"}})
	if q := cfg.Connections["sqs"]; !q.Overflow || q.OverflowStore != "file" || q.OverflowAlways || !q.OverflowDelete || *q.RetryAfter != 2*time.Minute {
		t.Errorf("the connection with a stock name is %+v", q)
	}
	if q := cfg.Connections["plain"]; q.Overflow || q.OverflowStore != "" || !q.OverflowAlways || q.OverflowDelete || q.RetryAfter != nil {
		t.Errorf("the other connection is %+v", q)
	}
	_, err := Load(&Options{Dir: dir, Environ: []string{"SQS_OVERFLOW_ENABLED=true", "SQS_OVERFLOW_STORE=fil"}})
	if err == nil || !strings.Contains(err.Error(), `there is no cache store "fil"`) {
		t.Errorf("a store that isn't there: %v", err)
	}
}

func TestGroupsOfSQS(t *testing.T) {
	dir := write(t, map[string]string{"spool.yaml": `
queue:
  connections:
    sqs: {driver: sqs, prefix: "https://sqs.eu-west-1.amazonaws.com/1"}
    grouped: {driver: sqs, message_group: all, deduplication: content, overflow: {enabled: true, flush_on_clear: true}}
`})
	cfg := load(t, dir, nil)
	if q := cfg.Connections["sqs"]; q.MessageGroup != "" || q.Deduplication != "unique" || q.OverflowFlush {
		t.Errorf("without settings: %+v", q)
	}
	if q := cfg.Connections["grouped"]; q.MessageGroup != "all" || q.Deduplication != "content" || !q.OverflowFlush {
		t.Errorf("with settings: %+v", q)
	}
}

// A driver of the program's own has a connection of its name, and others may
// use it, with options that nobody else knows.
func TestOwnDrivers(t *testing.T) {
	own := &Options{Drivers: []string{"folder"}, Environ: []string{"QUEUE_CONNECTION=folder", "WHERE=/srv/jobs"}}
	own.Dir = t.TempDir()
	cfg := load(t, own.Dir, own)
	q, err := cfg.Connection("")
	if err != nil || q.Driver != "folder" || q.Queue != "default" || *q.RetryAfter != 90*time.Second || len(q.Options) > 0 {
		t.Fatalf("without spool.yaml: %+v, %v", q, err)
	}
	own.Dir = write(t, map[string]string{"spool.yaml": `
queue:
  connections:
    folder: {options: {path: "${WHERE}", mode: 0600}}
    more: {driver: folder, queue: mails, retry_after: 5, after_commit: true, options: {password: hunter2}}
`})
	cfg = load(t, own.Dir, own)
	if q := cfg.Connections["folder"]; q.Options["path"] != "/srv/jobs" || q.Options["mode"] != "0600" {
		t.Errorf("with options: %+v", q)
	}
	if q := cfg.Connections["more"]; q.Queue != "mails" || *q.RetryAfter != 5*time.Second || !q.AfterCommit {
		t.Errorf("another connection: %+v", q)
	}
	for _, s := range cfg.Explain() {
		if strings.Contains(s.Value, "hunter2") {
			t.Errorf("%s tells the secret: %s", s.Key, s.Value)
		}
	}
	if found := Check(cfg, "more"); len(found) == 0 || !strings.Contains(found[0].String(), "worker.timeout (60 s) is not below retry_after (5 s)") {
		t.Errorf("its lease isn't checked: %v", found)
	}
	for yaml, want := range map[string]string{
		"driver: fodler":               `unknown driver "fodler"; did you mean folder?`,
		"driver: folder, host: a":      "is no setting of the driver folder, only of beanstalkd",
		"driver: redis, options: {}":   "is no setting of the driver redis, only of drivers of the program's own",
		"driver: folder, optoins: {}":  `unknown key "optoins"`,
		"driver: folder, options: [a]": "must be a mapping",
	} {
		own.Dir = write(t, map[string]string{"spool.yaml": "queue: {connections: {x: {" + yaml + "}}}"})
		if _, err := Load(own); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", yaml, err, want)
		}
	}
	for _, name := range []string{"redis", "", "a.b", "other"} {
		if _, err := Load(&Options{Dir: t.TempDir(), Drivers: []string{name}}); err == nil {
			t.Errorf("a driver of the program's own is called %q", name)
		}
	}
}
