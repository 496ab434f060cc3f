// Package laravel is the payload format of Laravel's queue, versions 8 to 13:
// string jobs, which Spool's own jobs are too, and class jobs, whose object
// PHP has serialized.
//
// A class job is decoded to a plain tree, never to code, and mapped onto a Go
// struct by the names of its properties ([Format.Decode]). For a PHP class as
// the receiver, build a [Command] and dispatch it like any other job:
//
//	cmd := laravel.NewCommand(`App\Jobs\SendMail`,
//		laravel.Public("to", "ada@example.com"),
//		laravel.Protected("tries", 3))
//	spool.Dispatch(ctx, client, cmd.OnQueue("mail"))
//
// The sources of the format are the Laravel framework itself and payloads that
// it wrote, which are the tests of this package.
//
// It imports package spool, and never a driver.
package laravel

import (
	"errors"
	"fmt"
	"time"

	"github.com/spoolq/spool"
	"github.com/spoolq/spool/laravel/phpserial"
)

// HandlerJob is the "job" of every class job.
const HandlerJob = `Illuminate\Queue\CallQueuedHandler@call`

// The versions of Laravel whose keys can be written.
const (
	MinVersion = 8
	MaxVersion = 13
)

// Options are the options of [New]. Nil and zero fields mean the defaults.
type Options struct {
	// Version is the major version of Laravel whose keys are written: 8 to 13; 0
	// means 13. All versions are read, and Laravel ignores keys it doesn't know.
	Version int
	// Key decrypts and encrypts jobs: APP_KEY as it stands in .env, "base64:" and
	// all. Without it encrypted jobs end in a [*KeyError].
	Key string
	// PreviousKeys may still decrypt: APP_PREVIOUS_KEYS (Laravel 11).
	PreviousKeys []string
	// Cipher is Laravel's app.cipher: AES-128-CBC, AES-256-CBC, AES-128-GCM or
	// AES-256-GCM in any case; "" means AES-256-CBC.
	Cipher string
	// PHPConnection and PHPQueue are where jobs go that only PHP can run, such as
	// the closures that wait for the failure of a chain (see [Command.Chain]): a
	// queue that PHP works. If both are empty they go where what they belong to
	// says.
	PHPConnection, PHPQueue string
	// Limits bounds the PHP data that is read.
	Limits phpserial.Options
}

// Format is the payload format of Laravel. It is safe for concurrent use.
type Format struct {
	version int
	crypt   *crypt // nil without a key
	limits  phpserial.Options

	phpConnection, phpQueue string
}

var _ spool.Format = (*Format)(nil)

// New returns the format. The error names the option that can't be used.
func New(opts *Options) (*Format, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Version == 0 {
		o.Version = MaxVersion
	}
	if o.Version < MinVersion || o.Version > MaxVersion {
		return nil, fmt.Errorf("laravel: version %d is unknown: %d to %d can be written", o.Version, MinVersion, MaxVersion)
	}
	c, err := newCrypt(o.Key, o.PreviousKeys, o.Cipher)
	if err != nil {
		return nil, fmt.Errorf("laravel: %w", err)
	}
	return &Format{version: o.Version, crypt: c, limits: o.Limits, phpConnection: o.PHPConnection, phpQueue: o.PHPQueue}, nil
}

// Encode implements [spool.Format]. A [Command] as the draft's data makes a
// class job of its class; anything else makes a string job, as [spool.Native]
// does.
func (f *Format) Encode(d *spool.Draft) ([]byte, error) {
	switch c := d.Data.(type) {
	case *Command:
		if c == nil || c.Object == nil {
			return nil, errNoObject
		}
		return f.encodeClass(d, c)
	case Command:
		if c.Object == nil {
			return nil, errNoObject
		}
		return f.encodeClass(d, &c)
	}
	if f.version >= 12 {
		return spool.Native.Encode(d)
	}
	return f.encodeString(d)
}

var errNoObject = errors.New("laravel: a Command without an object: make it with NewCommand")

// Retry implements [spool.Format]. The envelope is the same for all jobs.
func (f *Format) Retry(body []byte, now time.Time) ([]byte, error) {
	return spool.Native.Retry(body, now)
}
