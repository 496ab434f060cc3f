<?php
// Drives one of Laravel's own cache stores: reads a JSON list of calls
// [[method, argument, …], …] on stdin and answers with the list of results.
//   php store.php file DIR
//   php store.php database DSN USER PASSWORD PREFIX
// Besides the store's methods: lock(name, seconds, owner), which acquires, and
// release(name, owner).
error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);
require_once '/usr/share/php/Illuminate/autoload.php';

if ($argv[1] === 'file') {
    $store = new Illuminate\Cache\FileStore(new Illuminate\Filesystem\Filesystem, $argv[2]);
} else {
    $pdo = new PDO($argv[2], $argv[3], $argv[4], [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
    $class = 'Illuminate\\Database\\'.['sqlite' => 'SQLite', 'mysql' => 'MySql', 'pgsql' => 'Postgres'][strtok($argv[2], ':')].'Connection';
    $store = new Illuminate\Cache\DatabaseStore(new $class($pdo), 'cache', $argv[5]);
}
$results = [];
foreach (json_decode(stream_get_contents(STDIN), true) as $call) {
    $method = array_shift($call);
    $results[] = match ($method) {
        'lock' => $store->lock(...$call)->acquire(),
        'release' => $store->restoreLock(...$call)->release(),
        'put', 'add' => (bool) $store->$method(...$call),
        default => $store->$method(...$call),
    };
}
echo json_encode($results);
