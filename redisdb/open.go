package redisdb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/redis/rueidis"
)

// buffer is the size of the read and of the write buffer of one connection.
// Every worker that waits has a connection of its own, so the client's default
// of half a megabyte each would be most of a worker's memory.
const buffer = 64 << 10

// Open connects to Redis and asks for a sign of life. The error says where it
// tried, what went wrong and what to change, and never contains a password.
//
// The client reconnects by itself when a command finds the connection broken.
// It repeats only commands that change nothing.
func Open(ctx context.Context, opts Options) (rueidis.Client, error) {
	o, err := opts.resolve()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	client, err := o.connect(ctx)
	if err != nil {
		return nil, o.explain(err)
	}
	if len(o.Cluster) > 0 {
		return client, nil // a node has told of the others; one of those may just be replaced
	}
	if err := client.Do(ctx, client.B().Ping().Build()).Error(); err != nil {
		client.Close()
		return nil, o.explain(err)
	}
	return client, nil
}

// connect returns a connected client. The client's own constructor knows no
// context: if ctx ends first it is left to finish, within DialTimeout, and
// what it opened is closed.
func (o *Options) connect(ctx context.Context) (rueidis.Client, error) {
	var client rueidis.Client
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		client, err = rueidis.NewClient(o.client())
		if client != nil && (err != nil || ctx.Err() != nil) {
			client.Close()
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err == nil {
		err = ctx.Err()
	}
	return client, err
}

func (o *Options) client() rueidis.ClientOption {
	c := rueidis.ClientOption{
		InitAddress:         o.addresses(),
		Username:            o.Username,
		Password:            o.Password,
		SelectDB:            o.DB,
		ClientName:          o.ClientName,
		TLSConfig:           o.TLS,
		Dialer:              net.Dialer{Timeout: o.DialTimeout},
		ConnWriteTimeout:    o.Timeout,
		ReadBufferEachConn:  buffer,
		WriteBufferEachConn: buffer,
		// Idle connections of workers that no longer wait are let go.
		BlockingPoolCleanup: time.Minute,
		// Nothing is cached on this side, so servers without RESP3 will do.
		DisableCache: true,
		// What can't be done now fails now; who calls knows how to wait.
		DisableRetry:      true,
		ForceSingleClient: len(o.Cluster) == 0 && o.Sentinel.Master == "",
	}
	if o.Socket != "" && c.ForceSingleClient {
		c.DialCtxFn = func(ctx context.Context, path string, d *net.Dialer, conf *tls.Config) (net.Conn, error) {
			return d.DialContext(ctx, "unix", path)
		}
	}
	if o.Sentinel.Master != "" {
		c.Sentinel = rueidis.SentinelOption{
			Dialer:    c.Dialer,
			TLSConfig: o.TLS,
			MasterSet: o.Sentinel.Master,
			Username:  o.Sentinel.Username,
			Password:  o.Sentinel.Password,
			// A missed announcement must not leave us with the old master.
			TopologyRefreshInterval: 5 * time.Second,
		}
	}
	return c
}

// explain says where err happened and how to mend it.
func (o *Options) explain(err error) error {
	return fmt.Errorf("%s: %s: %w", o, o.advice(err), o.redact(err))
}

func (o *Options) advice(err error) string {
	text := strings.TrimPrefix(err.Error(), "ERR ")
	has := func(prefix string) bool { return strings.HasPrefix(text, prefix) }
	var timeout interface{ Timeout() bool }
	var dns *net.DNSError
	switch {
	case has("WRONGPASS"), has("invalid password"):
		return "the password or user name is wrong (REDIS_PASSWORD, REDIS_USERNAME)"
	case has("NOAUTH"):
		return "it wants a password (REDIS_PASSWORD)"
	case strings.Contains(text, "without any password configured"):
		return "it has no password, but one is configured: leave REDIS_PASSWORD empty"
	case has("DB index is out of range"), has("invalid DB index"):
		return "it has no such database: lower REDIS_DB, or raise the server's setting databases"
	case has("SELECT is not allowed in cluster mode"):
		return "it is a cluster, which has only database 0 (REDIS_DB)"
	case has("LOADING"):
		return "it is still reading its data from disk: try again in a moment"
	case has("NOPERM"):
		return "the user may not do this: widen its access control list"
	case has("DENIED"):
		return "it is in protected mode: give it a password or a bind address"
	case errors.As(err, &dns):
		return "the host name is not known (REDIS_HOST)"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there: is the server running, are host and port right (REDIS_HOST, REDIS_PORT)?"
	case errors.Is(err, os.ErrNotExist):
		return "there is no such socket: is the server running, is the path right?"
	case errors.Is(err, os.ErrPermission):
		return "this user may not open the socket"
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(tls.RecordHeaderError)):
		return "TLS failed: is it a TLS port, and is its certificate one that this machine trusts?"
	case o.TLS != nil && len(o.TLS.Certificates) == 0 && hungUp(err):
		return "it hung up: does it want a certificate of its clients, too?"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time: is there a firewall in between, or TLS on only one side?"
	}
	return "can't connect"
}

// hungUp says whether the server has closed the connection, without a reason
// or before it could be read.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// redact makes sure that no password gets out with an error's text.
func (o *Options) redact(err error) error {
	for _, secret := range []string{o.Password, o.Sentinel.Password} {
		if len(secret) > 3 && strings.Contains(err.Error(), secret) {
			return errors.New(strings.ReplaceAll(err.Error(), secret, "***"))
		}
	}
	return err
}
