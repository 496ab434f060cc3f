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
