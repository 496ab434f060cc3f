package testserver

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sqsPackages are the npm packages that the SQS server is made of, with the
// digests of their archives.
var sqsPackages = []struct{ name, version, sha512 string }{
	{"fauxqs", "2.4.1", "b5aaEqzziRxlYLRzJsP3t5ROQ7hhzQyrHnUjDL/IMdqS8XQ0K9Su+YkM/Q/mKCZk+t82F8loEN37WpL5R/RWUQ=="},
	{"toad-cache", "3.7.0", "/m8M+2BJUpoJdgAHoG+baCwBT+tf2VraSfkBgl0Y00qIWt41DJ8R5B8nsEw0I58YwF5IZH6z24/2TobDKnqSWw=="},
}

// sqsFolder returns where the packages are kept, per user and version.
func sqsFolder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "spool-test", sqsPackages[0].name+"-"+sqsPackages[0].version), nil
}

// findSQS says whether the packages are there.
func findSQS() error {
	folder, err := sqsFolder()
	if err != nil {
		return err
	}
	for _, p := range sqsPackages {
		if _, err := os.Stat(filepath.Join(folder, "node_modules", p.name, "package.json")); err != nil {
			return &missingError{"the npm package " + p.name}
		}
	}
	return nil
}

// InstallSQS has npm fetch the SQS server into the user's cache, unless it is
// there. Nothing of it is run: the archives must be those of the pinned
// versions, and are unpacked.
func InstallSQS(ctx context.Context) error {
	if findSQS() == nil {
		return nil
	}
	folder, err := sqsFolder()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(folder), "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	for _, p := range sqsPackages {
		spec := p.name + "@" + p.version
		cmd := exec.CommandContext(ctx, "npm", "pack", "--silent", "--pack-destination", work, spec)
		cmd.Dir = work
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("npm pack %s: %w\n%s", spec, err, out)
		}
		file := filepath.Join(work, p.name+"-"+p.version+".tgz")
		archive, err := os.ReadFile(file)
		if err = errors.Join(err, os.Remove(file)); err != nil {
			return err
		}
		if sum := sha512.Sum512(archive); base64.StdEncoding.EncodeToString(sum[:]) != p.sha512 {
			return fmt.Errorf("npm pack %s: the archive is not the one that is expected", spec)
		}
		if err := unpack(archive, filepath.Join(work, "node_modules", p.name)); err != nil {
			return fmt.Errorf("unpack %s: %w", spec, err)
		}
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.Rename(work, folder); err != nil && findSQS() != nil { // or another process was faster
		return err
	}
	return nil
}

// unpack writes the files of an npm archive, all of which are below "package/".
func unpack(archive []byte, folder string) error {
	zipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return err
	}
	files := tar.NewReader(zipped)
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, ok := strings.CutPrefix(h.Name, "package/")
		if !ok || h.Typeflag != tar.TypeReg || !filepath.IsLocal(name) {
			continue
		}
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		text, err := io.ReadAll(files)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
}
