<?php

namespace App\Jobs\Locked;

use Illuminate\Contracts\Queue\ShouldBeUniqueUntilProcessing;

class UniqueUntilProcessing extends Job implements ShouldBeUniqueUntilProcessing
{
    public function uniqueId()
    {
        return $this->id;
    }
}
