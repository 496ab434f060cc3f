package limit

import (
	"testing"

	"github.com/spoolq/spool/internal/testserver"
)

func TestMain(m *testing.M) { testserver.Main(m) }
