package testserver

import (
	"flag"
	"os"
	"strconv"
)

// Parallel lets n tests of this binary run at the same time, unless the command
// line says how many (-parallel). It is for tests that mostly wait for other
// processes and for time to pass; go test lets as many run as there are
// processors. Call it before [Main].
func Parallel(n int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return
	}
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		panic("testserver: " + err.Error() + " (" + os.Args[0] + " is no test binary)")
	}
}
