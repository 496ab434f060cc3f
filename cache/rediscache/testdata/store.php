<?php
// Drives Laravel's own Redis cache store: reads a JSON list of calls
// [[method, argument, …], …] on stdin and answers with the list of results.
//   php store.php HOST PORT CLIENT_PREFIX CACHE_PREFIX
// Besides the store's methods: lock(name, seconds, owner), which acquires, and
// release(name, owner).
error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);
require_once '/usr/share/php/Illuminate/autoload.php';

$redis = new Illuminate\Redis\RedisManager(new Illuminate\Container\Container, 'phpredis', [
    'options' => ['prefix' => $argv[3]],
    'cache' => ['host' => $argv[1], 'port' => $argv[2], 'database' => 0],
    'default' => ['host' => $argv[1], 'port' => $argv[2], 'database' => 1],
]);
$store = (new Illuminate\Cache\RedisStore($redis, $argv[4], 'cache'))->setLockConnection('default');
$results = [];
foreach (json_decode(stream_get_contents(STDIN), true) as $call) {
    $method = array_shift($call);
    $results[] = match ($method) {
        'lock' => $store->lock(...$call)->acquire(),
        'release' => $store->restoreLock(...$call)->release(),
        default => $store->$method(...$call),
    };
}
echo json_encode($results);
