package config

import (
	"fmt"
	"regexp"
	"strconv"
)

// Version is a version of Laravel, as far as defaults depend on it. The zero
// Version means none: Spool's own defaults.
type Version struct{ Major, Minor int }

// String renders the version: "11", or "5.8" up to 5.
func (v Version) String() string {
	switch {
	case v.Major == 0:
		return "none"
	case v.Major < 6:
		return fmt.Sprintf("%d.%d", v.Major, v.Minor)
	}
	return strconv.Itoa(v.Major)
}

// Before says whether v is older than major.minor. No version is older than any.
func (v Version) Before(major, minor int) bool {
	return v.Major > 0 && (v.Major < major || v.Major == major && v.Minor < minor)
}

// Known versions: the first whose skeleton was read, and the last.
const (
	oldestMajor, oldestMinor = 5, 6
	newestMajor              = 13
)

var versionPattern = regexp.MustCompile(`^[vV]?(\d{1,4})(?:\.(\d{1,4}|x))?(?:\.[0-9A-Za-z.+-]*)?(?:-[0-9A-Za-z.+-]*)?$`)

// ParseVersion reads "11", "5.8", "v8.83.26", "12.x-dev" or "none". Laravel
// 5.6 to 13 are known; a newer one gets the defaults of 13.
func ParseVersion(s string) (Version, error) {
	if s == "none" || s == "" {
		return Version{}, nil
	}
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return Version{}, fmt.Errorf("%q is no version of Laravel; write e.g. 11, 5.8 or none", s)
	}
	v := Version{}
	v.Major, _ = strconv.Atoi(m[1]) // at most four digits
	if m[2] != "x" && m[2] != "" {
		v.Minor, _ = strconv.Atoi(m[2])
	}
	if v.Before(oldestMajor, oldestMinor) || v.Major == 0 {
		return Version{}, fmt.Errorf("Laravel %s is older than %d.%d, the oldest one known", v, oldestMajor, oldestMinor)
	}
	if v.Major >= 6 {
		v.Minor = 0
	}
	return v, nil
}
