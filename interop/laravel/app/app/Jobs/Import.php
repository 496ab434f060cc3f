<?php

namespace App\Jobs;

use App\Support\Report;
use Illuminate\Bus\Batchable;
use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Queue\InteractsWithQueue;
use Illuminate\Queue\SerializesModels;

/** A member of a batch. */
class Import implements ShouldQueue
{
    use Batchable, InteractsWithQueue, Queueable, SerializesModels;

    protected int $part;

    protected bool $refused = false;

    public function __construct(int $part, bool $refused = false)
    {
        $this->part = $part;
        $this->refused = $refused;
    }

    public function handle()
    {
        if ($this->refused) {
            throw new \RuntimeException("拒绝 {$this->part}");
        }
        if ($this->batch() && $this->batch()->cancelled()) {
            Report::write('skipped', $this->job, $this->part);

            return;
        }
        Report::write('handled', $this->job, $this->part);
    }
}
