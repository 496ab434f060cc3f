package spooltest_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// judge is a test within a test: what it is told is kept.
type judge struct {
	testing.TB
	mu   sync.Mutex
	said []string
}

func (j *judge) Errorf(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.said = append(j.said, fmt.Sprintf(format, args...))
}

func (j *judge) Fatalf(format string, args ...any) {
	j.Errorf(format, args...)
	runtime.Goexit()
}

// fails reports an error unless fn has its test fail with a message that holds
// these parts.
func fails(t *testing.T, fn func(tb testing.TB), parts ...string) {
	t.Helper()
	j := &judge{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		fn(j)
	}()
	<-ended
	said := strings.Join(j.said, "\n")
	if said == "" {
		t.Error("the test didn't fail")
	}
	for _, p := range parts {
		if !strings.Contains(said, p) {
			t.Errorf("the test failed with\n%s\nwhich should have\n%s", said, p)
		}
	}
}
