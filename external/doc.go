// Package external makes handlers of things that aren't Go: a command, a line
// for the shell, or a URL. They are handlers like any other, under the same
// policy, lease and events.
//
// # Commands
//
// The command reads the payload, byte for byte as it is stored, on its
// standard input, and finds these variables in its environment:
//
//	SPOOL_JOB_NAME        the job's name
//	SPOOL_JOB_ID          the backend's id of the job
//	SPOOL_JOB_UUID        the same for every attempt and retry
//	SPOOL_JOB_QUEUE       the queue it came from
//	SPOOL_JOB_CONNECTION  the connection it came from
//	SPOOL_JOB_ATTEMPT     1 on the first run
//	SPOOL_JOB_DATA        the job's data as JSON, up to 16 KiB; larger data, or
//	SPOOL_JOB_DATA_FILE   data with a NUL byte, is in the file named here, which
//	                      is removed when the command has ended
//
// Only one of the last two is set. Its exit code says how it went:
//
//	0      done
//	75     release: put the job back, to run again after a while
//	       (EX_TEMPFAIL of sysexits.h)
//	100    fail: the job fails for good, whatever attempts are left
//	       (the permanent failure of qmail's delivery programs)
//	other  an exception: the job is retried or fails by its policy; so is an end
//	       by a signal
//
// With 75, the last line of standard output may say when to run again, as
// seconds or a Go duration:
//
//	echo "spool: release 90"; exit 75
//
// The end of standard error, or of standard output where that is empty,
// becomes part of the error.
//
// When the handler's context ends (timeout, stop, lost lease), the command and
// everything it started are asked to end by SIGTERM, and killed after a grace.
// A command that answers SIGTERM with 75 or 100 is taken at its word; with 0 it
// isn't, as nobody can tell whether it had finished. What a command leaves
// running in the background when it ends is killed, unless it put it into a
// session of its own (setsid).
//
// # URLs
//
// The payload is sent by POST as application/json with the headers
// Spool-Job-Name, -Id, -Uuid, -Queue, -Connection and -Attempt; control
// characters in them are replaced by blanks. An answer of
//
//	2xx                            is done
//	429 or 503 with a Retry-After  puts the job back for so long, a day at most
//	anything else                  is an exception: retried or failed by policy
//
// The answer is read to its end, or to its first 64 KiB: one that breaks off
// before is an exception even when it began with 200. A redirect is followed
// to the same host only, five times at most, and only where the payload is
// sent again (307, 308).
//
// With a secret, Spool-Signature: t=TIME,v1=HEX proves who sent it: HEX is the
// HMAC-SHA256, under the secret, of TIME (Unix seconds), a dot and the body.
package external
