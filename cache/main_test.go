package cache_test

import (
	"flag"
	"testing"

	"github.com/spoolq/spool/internal/testserver"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// The suite mostly waits for ttls to pass: let its cases wait together.
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	testserver.Main(m)
}
