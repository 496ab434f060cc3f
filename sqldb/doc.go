// Package sqldb is a database that Spool's tables live in: a pool, the text
// of its dialect, and the way to write to it.
//
// It exists because the three databases differ in one thing that matters to
// everyone above: SQLite has one writer a file, and only a process that lines
// its own writers up gets speed and no "database is locked". So everything
// that writes goes through [DB.Write], which is a plain transaction on MySQL
// and PostgreSQL, and a place in the group commit of the process's one writer
// on SQLite.
//
// Packages sqldb/sqlite, sqldb/mysql and sqldb/postgres open a [DB] with their
// SDK. This package imports only the standard library; the job queue, the
// failed-job store and the cache are built on it.
package sqldb
