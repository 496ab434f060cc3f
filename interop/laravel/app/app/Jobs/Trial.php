<?php

namespace App\Jobs;

use App\Support\Report;
use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;
use RuntimeException;

/** A job that reports each attempt, and then throws, or sleeps until it is killed. */
class Trial implements ShouldQueue
{
    use Dispatchable, InteractsWithQueue, Queueable;

    public $tries;

    public $maxExceptions;

    public $timeout;

    public $backoff;

    public $retryUntil;

    public string $does; // throw or sleep

    public function __construct(string $does, array $policy)
    {
        $this->does = $does;
        foreach ($policy as $name => $value) {
            $this->$name = $value;
        }
    }

    public function handle()
    {
        Report::write('attempt', $this->job, ['does' => $this->does]);
        if ($this->does === 'sleep') {
            sleep(60);
        }
        throw new RuntimeException('not yet');
    }

    public function failed($e)
    {
        Report::write('failed', $this->job, ['class' => get_class($e), 'message' => $e->getMessage()]);
    }
}
