<?php

namespace App\Jobs\Locked;

use Illuminate\Cache\RateLimiting\Limit;
use Illuminate\Queue\Middleware\RateLimited;
use Illuminate\Support\Facades\RateLimiter;

class Limited extends Job
{
    public function middleware()
    {
        RateLimiter::for('orders', static fn () => Limit::perHour(3)->by('鞋'));

        return [new RateLimited('orders')];
    }
}
