<?php
$pdo = defined('PDO::MYSQL_ATTR_SSL_CA') ? [PDO::MYSQL_ATTR_SSL_CA => '/etc/ssl/db.pem'] : [];
return [
    'default' => env('DB_CONNECTION', 'mysql'),
    'connections' => [
        'sqlite' => ['driver' => 'sqlite', 'database' => database_path('database.sqlite'), 'prefix' => ''],
        'mysql' => ['driver' => 'mysql', 'host' => env('DB_HOST'), 'port' => env('DB_PORT', '3306'), 'database' => env('DB_DATABASE', 'forge'),
            'username' => env('DB_USERNAME'), 'password' => env('DB_PASSWORD', ''), 'unix_socket' => '', 'charset' => 'utf8mb4', 'collation' => 'utf8mb4_unicode_ci',
            'prefix' => '', 'strict' => true, 'engine' => null, 'options' => $pdo],
        'pgsql' => ['driver' => 'pgsql', 'host' => ['pg1', 'pg2'], 'port' => '5432', 'database' => 'x', 'username' => 'u', 'password' => 'only-in-the-file', 'schema' => ['a', 'b'], 'sslmode' => 'require'],
        'sqlsrv' => ['driver' => 'sqlsrv'],
    ],
    'redis' => [
        'client' => 'phpredis',
        'options' => ['cluster' => 'redis', 'prefix' => env('REDIS_PREFIX', 'factory:')],
        'default' => ['host' => env('REDIS_HOST', '127.0.0.1'), 'password' => env('REDIS_PASSWORD'), 'port' => env('REDIS_PORT', 6379), 'database' => 0],
        'queue' => ['url' => env('JOBS_REDIS_URL'), 'host' => 'ignored', 'port' => 1, 'database' => 3],
        'cache' => ['host' => env('REDIS_HOST', '127.0.0.1'), 'password' => env('REDIS_PASSWORD'), 'port' => env('REDIS_PORT', 6379), 'database' => 1],
        'clusters' => ['many' => [['host' => 'n1', 'port' => 7000, 'password' => env('REDIS_PASSWORD')], ['host' => 'n2', 'port' => 7001]]],
    ],
];
