package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spoolq/spool/internal/testserver"
)

// packages are what the tests need of Debian: the servers, and PHP with the
// Laravel that they exchange jobs with. Node and npm come on top where they
// are not installed in any way.
var packages = []string{
	"redis-server", "postgresql", "mariadb-server", "beanstalkd",
	"php-cli", "php-redis", "php-predis", "php-mysql", "php-pgsql", "php-sqlite3",
	"php-laravel-framework", "php-pda-pheanstalk",
}

// installMissing installs what is missing of packages, on Debian as root, and
// the SQS server; it does nothing elsewhere.
func installMissing(ctx context.Context) error {
	if _, err := os.Stat("/etc/debian_version"); err != nil || os.Getuid() != 0 {
		return nil
	}
	err := installPackages(ctx)
	if sqs := testserver.InstallSQS(ctx); sqs != nil {
		err = errors.Join(err, fmt.Errorf("the SQS server: %w", sqs))
	}
	return err
}

// installPackages installs what is missing of packages. The services that come
// with them are not started.
func installPackages(ctx context.Context) error {
	missing := slices.DeleteFunc(slices.Clone(packages), func(name string) bool {
		out, _ := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${db:Status-Status}", name).Output() // fails for an unknown one
		return string(out) == "installed"
	})
	if _, err := exec.LookPath("npm"); err != nil { // Debian's depends on its Node, which must not replace another
		missing = append(missing, "npm")
	}
	if len(missing) == 0 {
		return nil
	}
	fmt.Fprintln(os.Stderr, "testrun: installing, which takes a minute or two:", strings.Join(missing, " "))
	if err := apt(ctx, "update"); err != nil {
		return err
	}
	var install, unknown []string
	for _, name := range missing {
		if exec.CommandContext(ctx, "apt-cache", "show", "--no-all-versions", name).Run() == nil {
			install = append(install, name)
		} else {
			unknown = append(unknown, name)
		}
	}
	allow, err := denyServices()
	if err != nil {
		return err
	}
	err = apt(ctx, append([]string{"install", "--yes", "--no-install-recommends"}, install...)...)
	if len(unknown) > 0 {
		err = errors.Join(err, fmt.Errorf("this release of Debian has no %s: the tests that need them are skipped", strings.Join(unknown, ", ")))
	}
	return errors.Join(err, allow())
}

// apt runs apt-get, whose words matter only when it fails.
func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"--quiet", "-o", "Dpkg::Use-Pty=0"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
	}
	return nil
}

// denyServices keeps packages from starting their services while they are
// installed, Debian's way: a policy that forbids it. A policy that exists stays.
func denyServices() (allow func() error, err error) {
	const policy = "/usr/sbin/policy-rc.d"
	f, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString("#!/bin/sh\nexit 101\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(policy))
	}
	return func() error { return os.Remove(policy) }, nil
}
