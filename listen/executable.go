package listen

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Executable returns this program as it was started: a bare name if it was
// found in PATH, else an absolute path whose symbolic links are kept. A child
// started by it is the program that stands there then, be it rebuilt, replaced
// or reached through a link that now leads to another release. (What
// os.Executable returns stays with the old one.)
func Executable() string {
	name := os.Args[0]
	if path, err := exec.LookPath(name); err == nil {
		if filepath.Base(name) == name {
			return name
		}
		if abs, err := filepath.Abs(path); err == nil {
			return abs
		}
	}
	path, err := os.Executable()
	if err != nil {
		return name // its absence will be reported by its name
	}
	return path
}

// locate makes a path absolute, as children may start elsewhere, and says
// whether there is a program now.
func locate(exe string) (string, error) {
	if strings.ContainsRune(filepath.ToSlash(exe), '/') {
		abs, err := filepath.Abs(exe)
		if err != nil {
			return "", err
		}
		exe = abs
	}
	if _, err := exec.LookPath(exe); err != nil {
		return "", fmt.Errorf("can't find the program to start for each job: %w", err)
	}
	return exe, nil
}
