// Package think runs Spool beside think-queue. The peer in folder peer is a
// small think-queue of our own, written from what the real versions did; the
// replay test holds it to what they left in their stores, call by call, so that
// it can't drift from them. The matrix then has both work the same queues.
//
// It holds tests only.
package think
