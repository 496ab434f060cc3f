<?php
// As in a new application of the version that SPOOL_LARAVEL names: 11 renamed
// the variable, and the prefix is another one from 9 and 13 on.
use Illuminate\Support\Str;

$version = (int) env('SPOOL_LARAVEL', 8);
$name = env('APP_NAME', 'laravel');

return [
    'default' => $version < 11 ? env('CACHE_DRIVER', 'file') : env('CACHE_STORE', 'database'),
    'stores' => [
        'array' => ['driver' => 'array', 'serialize' => false],
        'database' => ['driver' => 'database', 'table' => 'cache', 'connection' => null, 'lock_connection' => null],
        'file' => ['driver' => 'file', 'path' => storage_path('framework/cache/data')],
        'redis' => ['driver' => 'redis', 'connection' => 'cache', 'lock_connection' => 'default'],
    ],
    'prefix' => env('CACHE_PREFIX', match (true) {
        $version < 9 => Str::slug($name, '_').'_cache',
        $version < 13 => Str::slug($name, '_').'_cache_',
        default => Str::slug($name).'-cache-',
    }),
];
