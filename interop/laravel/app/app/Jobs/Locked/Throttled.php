<?php

namespace App\Jobs\Locked;

use Illuminate\Queue\Middleware\ThrottlesExceptions;

class Throttled extends Job
{
    public function middleware()
    {
        return [(new ThrottlesExceptions(2, 60))->backoff(60)];
    }
}
