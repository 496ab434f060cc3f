package external

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spoolq/spool"
)

// maxData is the most data that goes into a variable. Linux allows 128 KiB
// for one, Windows 32 Ki characters for all.
const maxData = 16 << 10

const prefix = "SPOOL_JOB_"

// environment returns the environment of a command, and what to call when it
// has ended.
func environment(job *spool.Job, extra []string) (env []string, cleanup func(), err error) {
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, prefix) { // those of a job that runs us
			env = append(env, kv)
		}
	}
	env = append(env, extra...)
	set := func(name, value string) {
		// No variable can hold a NUL.
		env = append(env, prefix+name+"="+strings.ReplaceAll(value, "\x00", ""))
	}
	set("NAME", job.Name)
	set("ID", job.ID)
	set("UUID", job.UUID)
	set("QUEUE", job.Queue)
	set("CONNECTION", job.Connection)
	set("ATTEMPT", strconv.Itoa(job.Attempt))
	var data []byte
	if job.Payload != nil {
		data = job.Payload.Data
	}
	if len(data) <= maxData && bytes.IndexByte(data, 0) < 0 {
		set("DATA", string(data))
		return env, func() {}, nil
	}
	path, err := temporary(data)
	if err != nil {
		return nil, nil, fmt.Errorf("write the job's data (%d bytes) for its command: %w", len(data), err)
	}
	set("DATA_FILE", path)
	return env, func() { _ = os.Remove(path) }, nil
}

// temporary writes data to a new file that only this user can read.
func temporary(data []byte) (path string, err error) {
	f, err := os.CreateTemp("", "spool-job-*.json")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}
