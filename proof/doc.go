// Package proof shows with whole processes what the other packages promise:
// that every job runs, and never twice at a time, whatever is killed meanwhile.
//
// It holds tests only. They start workers as processes of their own, against
// real servers, and read afterwards what each of them wrote down. A run takes
// about three minutes; -short makes it smaller, SPOOL_PROOF_SCALE=10 makes the
// large runs ten times larger, and SPOOL_PROOF_SEED repeats one.
package proof
