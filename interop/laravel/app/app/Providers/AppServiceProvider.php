<?php

namespace App\Providers;

use App\Support\RedisStoreOf11;
use Illuminate\Support\Facades\Cache;
use Illuminate\Support\ServiceProvider;

class AppServiceProvider extends ServiceProvider
{
    public function register()
    {
        if (class_exists(GoServiceProvider::class)) { // of a test's own
            $this->app->register(GoServiceProvider::class);
        }
    }

    public function boot()
    {
        // predis 1.1 raises a deprecation per command on PHP 8.2, and the framework
        // would log each of them.
        $mask = E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED;
        error_reporting($mask);
        $handler = set_error_handler(static fn () => false);
        set_error_handler($handler, $mask);

        if (env('SPOOL_LARAVEL', 8) >= 11) {
            Cache::extend('redis', function ($app, array $config) {
                $store = new RedisStoreOf11($app['redis'], $app['config']['cache.prefix'], $config['connection']);

                return Cache::repository($store->setLockConnection($config['lock_connection']));
            });
        }
    }
}
