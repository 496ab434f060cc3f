<?php

namespace App\Support;

use Illuminate\Cache\RedisStore;

/** The framework here is 8.83; since 11 nothing is put behind the cache's prefix. */
class RedisStoreOf11 extends RedisStore
{
    public function setPrefix($prefix)
    {
        $this->prefix = $prefix;
    }
}
