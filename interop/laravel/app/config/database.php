<?php
// As in a new Laravel 8 application.
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
        'options' => ['cluster' => 'redis', 'prefix' => env('REDIS_PREFIX', 'laravel_database_')],
        'default' => $redis(env('REDIS_DB', '0')),
        'cache' => $redis(env('REDIS_CACHE_DB', '1')),
    ],
];
