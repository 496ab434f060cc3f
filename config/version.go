package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
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

// assumed is the version taken where nothing tells it.
var assumed = Version{newestMajor - 1, 0}

// findVersion decides whose defaults apply: what is said, else composer.lock
// beside the .env file, else what the names in the environment hint at. Without
// a sign of Laravel Spool's own apply.
func (l *loader) findVersion() error {
	said := l.yaml.at("laravel")
	if v, ok := l.env["SPOOL_LARAVEL"]; ok {
		said = text(v.value, v.src)
	}
	if f := l.flags.at("laravel"); f != nil {
		said = f
	}
	if said != nil {
		v, err := ParseVersion(said.text)
		if err != nil {
			return &Error{said.src, "laravel", err.Error()}
		}
		l.version = v
		if said.kind != scalar {
			return &Error{said.src, "laravel", "must be a single value"}
		}
		return nil
	}
	lock := filepath.Join(l.root, "composer.lock")
	if v, ok, err := lockedVersion(lock); err != nil {
		l.warn("laravel", Source{Kind: FromFile, File: l.shown(lock)}, "%v; say which version it is (laravel: 11)", err)
	} else if ok {
		l.version = v
		return nil
	}
	if v, why := l.env.hint(); v != (Version{}) {
		l.version = v
		l.warn("laravel", Source{}, "Laravel %s is assumed, since %s: prefixes, the database and other defaults follow from it; say which version it is (laravel: %s in spool.yaml), or that there is none (laravel: none)", v, why, v)
	}
	return nil
}

// versionSource says where the version came from.
func (l *loader) versionSource() Source {
	if f := l.flags.at("laravel"); f != nil {
		return f.src
	}
	if v, ok := l.env["SPOOL_LARAVEL"]; ok {
		return v.src
	}
	if y := l.yaml.at("laravel"); y != nil {
		return y.src
	}
	if lock := filepath.Join(l.root, "composer.lock"); isFile(lock) && l.version != (Version{}) {
		if _, ok, _ := lockedVersion(lock); ok {
			return Source{Kind: FromFile, File: l.shown(lock)}
		}
	}
	if l.version != (Version{}) {
		return Source{Kind: FromDefault, Name: "assumed"}
	}
	return Source{Kind: FromDefault}
}

// lockedVersion reads the version of laravel/framework from composer.lock; ok
// is false if the file or the package isn't there.
func lockedVersion(path string) (v Version, ok bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return v, false, nil //nolint:nilerr // no readable lock file is no lock file
	}
	defer f.Close()
	var lock struct {
		Packages []struct{ Name, Version string }
	}
	if err := json.NewDecoder(f).Decode(&lock); err != nil {
		return v, false, fmt.Errorf("%s is no JSON", filepath.Base(path))
	}
	for _, p := range lock.Packages {
		if p.Name == "laravel/framework" {
			v, err := ParseVersion(strings.TrimPrefix(p.Version, "dev-"))
			if err != nil {
				return v, false, fmt.Errorf("composer.lock has laravel/framework %.40q", p.Version)
			}
			return v, true, nil
		}
	}
	return v, false, nil
}

// hint guesses the version from the names that a stock .env file of it has.
func (env environ) hint() (Version, string) {
	laravel := env.has("APP_KEY")
	for _, n := range []string{"QUEUE_CONNECTION", "QUEUE_DRIVER"} {
		laravel = laravel || env[n].src.File != ""
	}
	has := func(names ...string) string {
		for _, n := range names {
			if env.has(n) {
				return n
			}
		}
		return ""
	}
	switch {
	case !laravel:
		return Version{}, ""
	case env.has("QUEUE_DRIVER") && !env.has("QUEUE_CONNECTION"):
		return Version{5, 6}, "QUEUE_DRIVER is set"
	case has("CACHE_STORE", "BROADCAST_CONNECTION", "DB_URL") != "":
		return assumed, has("CACHE_STORE", "BROADCAST_CONNECTION", "DB_URL") + " is set"
	case has("CACHE_DRIVER", "BROADCAST_DRIVER", "DATABASE_URL") == "":
		return assumed, "nothing tells the version"
	case env.has("FILESYSTEM_DISK"):
		return Version{10, 0}, "CACHE_DRIVER or its like and FILESYSTEM_DISK are set"
	}
	return Version{8, 0}, has("CACHE_DRIVER", "BROADCAST_DRIVER", "DATABASE_URL") + " is set and FILESYSTEM_DISK isn't"
}
