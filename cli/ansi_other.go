//go:build !windows

package cli

import "os"

// speaksANSI says whether a terminal obeys escape sequences.
func speaksANSI(*os.File) bool { return true }
