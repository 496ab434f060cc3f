// Package testserver starts real Redis, PostgreSQL, MySQL (or MariaDB) and
// beanstalkd servers for tests, and one that speaks SQS: private instances on
// free loopback ports with their data in temporary folders.
//
// [Redis], [Postgres], [MySQL], [Beanstalkd] and [SQS] share one server of
// their kind in a test binary, or in a whole run when the runner has started
// one and named it in SPOOL_TEST_REDIS, SPOOL_TEST_POSTGRES, SPOOL_TEST_MYSQL,
// SPOOL_TEST_BEANSTALKD or SPOOL_TEST_SQS. The New functions start a server of the test's own,
// to be stopped, killed and paused; NewRedisCluster and NewRedisSentinel start
// several that belong together. SPOOL_TEST_REDIS_SERVER names another program
// that speaks Redis, such as valkey-server.
//
// A test binary that uses the package has
//
//	func TestMain(m *testing.M) { testserver.Main(m) }
//
// A server whose program is not installed skips the test with the reason; when
// CI=true the test fails instead. Only servers that this package started are
// ever touched. On Linux the kernel ends them with the test binary, however
// that ends.
package testserver
