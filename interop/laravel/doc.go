// Package laravel runs Spool beside the real Laravel: an application of our
// own (folder app) on Debian's php-laravel-framework pushes and works jobs on
// the same queues as Spool, both configured by the same .env file.
//
// It holds tests only, one for each cell of a matrix: what is done, on which
// backend.
package laravel
