package driver

import (
	"bytes"
	"time"
	"unicode/utf8"
)

// Check returns a *LimitError for the first message that breaks a limit of t.
// Drivers call it at the start of Push.
func (t Traits) Check(ms []Message) error {
	for i, m := range ms {
		switch {
		case t.MaxBody > 0 && len(m.Body) > t.MaxBody:
			return &LimitError{Index: i, What: "body", Have: int64(len(m.Body)), Max: int64(t.MaxBody), Why: "store the data elsewhere and push a reference to it"}
		case t.MaxDelay > 0 && m.Delay > t.MaxDelay:
			return &LimitError{Index: i, What: "delay", Have: int64(m.Delay), Max: int64(t.MaxDelay), Why: "dispatch it later, or send it to a connection of another driver"}
		case t.TextOnly && (!utf8.Valid(m.Body) || bytes.IndexByte(m.Body, 0) >= 0):
			return &LimitError{Index: i, What: "text", Why: "encode binary data, e.g. as base64"}
		}
	}
	return nil
}

// RoundUp rounds a delay up to a multiple of unit; 0 and less become 0.
func RoundUp(d, unit time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	if r := d % unit; r > 0 {
		return d - r + unit
	}
	return d
}

// DefaultLease is the lease that is written where the configuration says that
// reservations don't expire (retry_after null).
const DefaultLease = 90 * time.Second

// MinLease is the shortest lease a driver accepts: stores count whole seconds,
// and a shorter one could not be renewed in time.
const MinLease = 3 * time.Second
