<?php

namespace App\Jobs;

use App\Support\Report;
use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;

/** A job that takes a minute at its first attempt, in which its worker is killed, and no time later. */
class Endure implements ShouldQueue
{
    use Dispatchable, InteractsWithQueue, Queueable;

    public $tries = 3;

    public $timeout = 90;

    public function handle()
    {
        Report::write('began', $this->job, ['by' => 'PHP']);
        if ($this->attempts() === 1) {
            sleep(60);
        }
        Report::write('ended', $this->job, ['by' => 'PHP']);
    }
}
