<?php

namespace App\Jobs\Locked;

use Illuminate\Cache\RateLimiting\Limit;
use Illuminate\Queue\Middleware\RateLimitedWithRedis;
use Illuminate\Support\Facades\RateLimiter;

class RedisLimited extends Job
{
    public function middleware()
    {
        RateLimiter::for('redis-orders', static fn () => Limit::perHour(3));

        return [new RateLimitedWithRedis('redis-orders')];
    }
}
