//go:build !race

package failed_test

// manyRows is a long table.
const manyRows = 100_000
