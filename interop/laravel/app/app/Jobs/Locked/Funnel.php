<?php

namespace App\Jobs\Locked;

use Illuminate\Support\Facades\Redis;

class Funnel extends Job
{
    public function handle()
    {
        Redis::funnel('interop-funnel')->limit(2)->releaseAfter(60)->block(0)->then(
            fn () => parent::handle(),
            fn () => $this->release(60)
        );
    }
}
