<?php

namespace App\Handlers;

use App\Support\Report;

/** A string job without a method in its name: fire() takes any data. */
class Anything
{
    public function fire($job, $data)
    {
        Report::write('handled', $job, $data);
        $job->delete();
    }
}
