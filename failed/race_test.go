//go:build race

package failed_test

// manyRows is a long table, shorter under the race detector, which makes
// SQLite ten times slower.
const manyRows = 20_000
