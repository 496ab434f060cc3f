<?php
/*
 * Calls methods of the Cache facade: php cache.php '[["put","key",true,60]]'
 * prints the list of what they returned.
 */
require __DIR__.'/bootstrap/console.php';

use Illuminate\Support\Facades\Cache;

echo json_encode(array_map(
    static fn (array $call) => Cache::{array_shift($call)}(...$call),
    json_decode($argv[1], true, 512, JSON_THROW_ON_ERROR),
), JSON_THROW_ON_ERROR);
