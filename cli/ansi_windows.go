package cli

import (
	"os"

	"golang.org/x/sys/windows"
)

// speaksANSI has a console obey escape sequences, and says whether it does.
func speaksANSI(f *os.File) bool {
	h := windows.Handle(f.Fd())
	var mode uint32
	if windows.GetConsoleMode(h, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
