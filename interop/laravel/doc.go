// Package laravel runs Spool beside the real Laravel: an application of our
// own (folder app) on Debian's php-laravel-framework pushes and works jobs on
// the same queues as Spool, both configured by the same .env file.
//
// It holds tests only, one for each cell of a matrix: what is done, on which
// backend. A file of cells has one test, which gives them to matrix; every cell
// has an application of its own, with empty queues and tables, and all run at
// the same time. What belongs to the cells in PHP is found by its place: kinds
// of jobs to push in app/kinds, classes in app/app, tables of models in
// app/database/migrations.
//
// The framework is 8.83. Where a cell is about another version, SPOOL_LARAVEL in
// its .env makes the application's settings, and with them its keys, those of
// that version; of its code only the prefix of the Redis cache store differs,
// and the application replaces that.
package laravel
