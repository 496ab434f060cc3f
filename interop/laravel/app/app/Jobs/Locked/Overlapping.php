<?php

namespace App\Jobs\Locked;

use Illuminate\Queue\Middleware\WithoutOverlapping;

class Overlapping extends Job
{
    public function middleware()
    {
        return [(new WithoutOverlapping($this->id))->releaseAfter(60)];
    }
}
