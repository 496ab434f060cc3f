<?php
// As in a new Laravel 8 application, but for the prefix: it is that of the
// version that SPOOL_LARAVEL names.
use Illuminate\Support\Str;

$name = env('APP_NAME', 'laravel');
$prefix = env('SPOOL_LARAVEL', 8) < 13 ? Str::slug($name, '_').'_database_' : Str::slug($name).'-database-';
$server = static fn (string $driver, string $port, array $more) => $more + [
    'driver' => $driver,
    'host' => env('DB_HOST', '127.0.0.1'),
    'port' => env('DB_PORT', $port),
    'database' => env('DB_DATABASE', 'forge'),
    'username' => env('DB_USERNAME', 'forge'),
    'password' => env('DB_PASSWORD', ''),
    'prefix' => '',
    'prefix_indexes' => true,
];
$redis = static fn (string $db) => [
    'url' => env('REDIS_URL'),
    'host' => env('REDIS_HOST', '127.0.0.1'),
    'password' => env('REDIS_PASSWORD', null),
    'port' => env('REDIS_PORT', '6379'),
    'database' => $db,
];

return [
    'default' => env('DB_CONNECTION', 'mysql'),
    'connections' => [
        'sqlite' => [
            'driver' => 'sqlite',
            'database' => env('DB_DATABASE', database_path('database.sqlite')),
            'prefix' => '',
            'foreign_key_constraints' => true,
        ],
        'mysql' => $server('mysql', '3306', [
            'charset' => 'utf8mb4', 'collation' => 'utf8mb4_unicode_ci', 'strict' => true, 'engine' => null,
        ]),
        'pgsql' => $server('pgsql', '5432', ['charset' => 'utf8', 'schema' => 'public', 'sslmode' => 'prefer']),
    ],
    'migrations' => 'migrations',
    'redis' => [
        'client' => env('REDIS_CLIENT', 'phpredis'),
        'options' => ['cluster' => 'redis', 'prefix' => env('REDIS_PREFIX', $prefix)],
        'default' => $redis(env('REDIS_DB', '0')),
        'cache' => $redis(env('REDIS_CACHE_DB', '1')),
    ],
];
