<?php

use App\Jobs\Locked;

return [
    'unique' => static fn (int $i) => Locked\Unique::dispatch($i),
    'unique until processing' => static fn (int $i) => Locked\UniqueUntilProcessing::dispatch($i),
    'overlapping' => static fn (int $i) => Locked\Overlapping::dispatch($i),
    'limited' => static fn (int $i) => Locked\Limited::dispatch($i),
    'throttled' => static fn (int $i) => Locked\Throttled::dispatch($i),
    'limited by redis' => static fn (int $i) => Locked\RedisLimited::dispatch($i),
    'throttle' => static fn (int $i) => Locked\Throttle::dispatch($i),
    'funnel' => static fn (int $i) => Locked\Funnel::dispatch($i),
];
