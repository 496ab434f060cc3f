// Command bench measures Spool beside other ways to move jobs through the same
// store: the raw store, which is the limit, and (as they are added) other job
// queues. It starts private servers, runs the contestants in turns in one
// process, and prints medians, spreads and the ratios of one turn.
//
// A figure alone says little: it drifts with the machine and its load. A ratio
// taken side by side holds. `go run . -h` lists drivers, cases and contestants.
//
// A contestant is a player that does tasks; a task is plain data, so that a
// player may be a process in another language. See player.
package main
