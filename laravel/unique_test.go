package laravel_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/laravel"
)

// What a payload of PHP says of the unique lock of its job.
func TestUniqueLockInPayloadsOfPHP(t *testing.T) {
	const key = `laravel_unique_job:App\Jobs\Sync:7`
	serialized := func(s string) string { return fmt.Sprintf(`"s:%d:\"%s\";"`, len(s), s) }
	context := func(key, owner string) string {
		return `,"illuminate:log:context":{"data":{},"hidden":{"laravel_unique_job_cache_store":` + serialized("redis") +
			`,"laravel_unique_job_key":` + key + `,"laravel_unique_job_lock_owner":` + owner + `}}`
	}
	own := strings.ReplaceAll(serialized(key), `App\Jobs\Sync`, `App\\Jobs\\Sync`) // as JSON has it
	for name, tt := range map[string]struct {
		command, context string
		want             *spool.Claim
	}{
		"nothing":                       {`O:13:\"App\\Jobs\\Sync\":0:{}`, "", nil},
		"an owner in the object":        {`O:13:\"App\\Jobs\\Sync\":1:{s:15:\"uniqueLockOwner\";s:2:\"me\";}`, "", &spool.Claim{Owner: "me"}},
		"no owner in the object":        {`O:13:\"App\\Jobs\\Sync\":1:{s:15:\"uniqueLockOwner\";s:0:\"\";}`, "", nil},
		"key and owner in the context":  {`O:13:\"App\\Jobs\\Sync\":0:{}`, context(own, serialized("me")), &spool.Claim{Key: `laravel_unique_job:App\Jobs\Sync:7`, Owner: "me"}},
		"both":                          {`O:13:\"App\\Jobs\\Sync\":1:{s:15:\"uniqueLockOwner\";s:2:\"me\";}`, context(own, serialized("me")), &spool.Claim{Key: `laravel_unique_job:App\Jobs\Sync:7`, Owner: "me"}},
		"a parent's context":            {`O:13:\"App\\Jobs\\Sync\":0:{}`, context(serialized("laravel_unique_job:Parent:7"), serialized("me")), nil},
		"another one's context":         {`O:13:\"App\\Jobs\\Sync\":1:{s:15:\"uniqueLockOwner\";s:2:\"me\";}`, context(own, serialized("you")), &spool.Claim{Owner: "me"}},
		"a context without an owner":    {`O:13:\"App\\Jobs\\Sync\":0:{}`, context(own, `"N;"`), nil},
		"a context that is none":        {`O:13:\"App\\Jobs\\Sync\":0:{}`, `,"illuminate:log:context":["laravel_unique_job_key"]`, nil},
		"a context that doesn't decode": {`O:13:\"App\\Jobs\\Sync\":0:{}`, context(`"s:99:\"x"`, serialized("me")), nil},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := laravel.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			p, err := f.Decode([]byte(`{"uuid":"u","displayName":"App\\Jobs\\Sync","job":"Illuminate\\Queue\\CallQueuedHandler@call","data":{"commandName":"App\\Jobs\\Sync","command":"` +
				tt.command + `"}` + tt.context + `}`))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, p.Unique); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}
