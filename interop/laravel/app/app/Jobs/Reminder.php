<?php

namespace App\Jobs;

use App\Support\Report;
use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;

/** A job that is due at a time, and tells what else its payload holds. */
class Reminder implements ShouldQueue
{
    use Dispatchable, InteractsWithQueue, Queueable;

    public $tries = 3;

    public int $due; // unix time

    public function __construct(int $due)
    {
        $this->due = $due;
    }

    public function handle()
    {
        $payload = $this->job->payload();
        Report::write('handled', $this->job, ['due' => $this->due, 'extras' => array_diff_key($payload, array_flip([
            'uuid', 'displayName', 'job', 'maxTries', 'maxExceptions', 'failOnTimeout', 'backoff', 'timeout', 'retryUntil',
            'data', 'id', 'attempts',
        ]))]);
    }
}
