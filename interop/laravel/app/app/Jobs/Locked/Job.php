<?php

namespace App\Jobs\Locked;

use App\Support\Report;
use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;
use Illuminate\Queue\SerializesModels;

/**
 * What all the jobs here do: they say that they begin, wait while the folder
 * of the run holds a file "hold", and throw if it holds a file "throw".
 */
abstract class Job implements ShouldQueue
{
    use Dispatchable, InteractsWithQueue, Queueable, SerializesModels;

    public $tries = 50;

    public $timeout = 60;

    public int $id;

    public function __construct(int $id)
    {
        $this->id = $id;
    }

    public function handle()
    {
        $run = getenv('INTEROP_RUN');
        Report::write('handled', $this->job, $this->id);
        while (is_file("$run/hold")) {
            usleep(20000);
            clearstatcache();
        }
        if (is_file("$run/throw")) {
            throw new \RuntimeException('拒绝');
        }
        Report::write('ended', $this->job, $this->id);
    }
}
