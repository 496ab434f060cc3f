<?php

namespace App\Jobs\Locked;

use Illuminate\Contracts\Queue\ShouldBeUnique;

class Unique extends Job implements ShouldBeUnique
{
    public $uniqueFor = 3600;

    public function uniqueId()
    {
        return $this->id;
    }
}
