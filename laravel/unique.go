package laravel

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/laravel/phpserial"
)

// uniqueOf returns the unique lock of a job that PHP has dispatched, as far as
// its payload says it: since Laravel 13 the owner is in the object, and since 11
// the log context may have both key and owner. That is inherited by the jobs
// that a job dispatches, so it counts only if the key is this job's own.
func (f *Format) uniqueOf(p *spool.Payload, cmd *Command, body []byte) *spool.Claim {
	c := spool.Claim{Owner: cmd.UniqueLockOwner()}
	if bytes.Contains(body, []byte("laravel_unique_job_key")) {
		key, owner := uniqueContext(body)
		known := owner != "" && (c.Owner == "" || c.Owner == owner)
		if known && strings.HasPrefix(key, f.Keys().Unique(p.Name, p.DisplayName, "")) {
			c.Key, c.Owner = key, owner
		}
	}
	if c == (spool.Claim{}) {
		return nil
	}
	return &c
}

// uniqueContext reads what the hidden part of the log context says of a lock.
func uniqueContext(body []byte) (key, owner string) {
	var payload struct {
		Context struct {
			Hidden map[string]string `json:"hidden"`
		} `json:"illuminate:log:context"`
	}
	if json.Unmarshal(body, &payload) != nil {
		return "", "" // as if it weren't there
	}
	text := func(name string) string {
		v, _ := phpserial.Decode(payload.Context.Hidden[name], nil)
		s, _ := v.(string)
		return s
	}
	return text("laravel_unique_job_key"), text("laravel_unique_job_lock_owner")
}
