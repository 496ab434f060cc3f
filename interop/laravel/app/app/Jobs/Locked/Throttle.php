<?php

namespace App\Jobs\Locked;

use Illuminate\Support\Facades\Redis;

class Throttle extends Job
{
    public function handle()
    {
        Redis::throttle('interop-throttle')->allow(3)->every(3600)->block(0)->then(
            fn () => parent::handle(),
            fn () => $this->release(60)
        );
    }
}
