package sqlqueue_test

import (
	"os"
	"testing"

	"github.com/spoolq/spool/internal/testserver"
)

// childEnv names the part that a test binary plays when a test starts it again
// as a second process.
const childEnv = "SPOOL_SQLQUEUE_CHILD"

func TestMain(m *testing.M) {
	if part := os.Getenv(childEnv); part != "" {
		os.Exit(child(part))
	}
	testserver.Main(m)
}
