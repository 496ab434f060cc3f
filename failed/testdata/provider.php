<?php
// Drives Laravel's own failed-job providers: reads a JSON list of calls
// [[method, argument, …], …] on stdin and answers with the list of results.
//   php provider.php database-uuids|database DSN USER PASSWORD TIMEZONE
// log(connection, queue, payload, message) makes the exception of the message;
// row(id) is the table's own row, and pretty(file) the file's JSON printed anew.
error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);
require_once '/usr/share/php/Illuminate/autoload.php';

[, $driver, $dsn, $user, $password, $zone] = $argv + array_fill(0, 6, '');
date_default_timezone_set($zone ?: 'UTC');
$provider = $connection = null;
if ($driver !== 'file') {
    $pdo = new PDO($dsn, $user, $password, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
    $class = 'Illuminate\\Database\\'.['sqlite' => 'SQLite', 'mysql' => 'MySql', 'pgsql' => 'Postgres'][strtok($dsn, ':')].'Connection';
    $connection = new $class($pdo);
    $resolver = new Illuminate\Database\ConnectionResolver(['main' => $connection]);
    $class = 'Illuminate\\Queue\\Failed\\'.['database-uuids' => 'DatabaseUuid', 'database' => 'Database'][$driver].'FailedJobProvider';
    $provider = new $class($resolver, 'main', 'failed_jobs');
}
$results = [];
foreach (json_decode(stream_get_contents(STDIN), true) as $call) {
    $method = array_shift($call);
    $results[] = match ($method) {
        'log' => $provider->log($call[0], $call[1], $call[2], new RuntimeException($call[3])),
        'row' => $connection->table('failed_jobs')->where('id', $call[0])->first(),
        'pretty' => json_encode(json_decode(file_get_contents($call[0])), JSON_PRETTY_PRINT),
        default => $provider->$method(...$call),
    };
}
echo json_encode($results);
