<?php

namespace App\Jobs;

use App\Support\Report;
use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;
use Illuminate\Queue\SerializesModels;

/** A link of a chain. */
class Step implements ShouldQueue
{
    use Dispatchable, InteractsWithQueue, Queueable, SerializesModels;

    protected string $name;

    protected bool $refused = false;

    public function __construct(string $name, bool $refused = false)
    {
        $this->name = $name;
        $this->refused = $refused;
    }

    public function handle()
    {
        if ($this->refused) {
            throw new \RuntimeException("拒绝 {$this->name}");
        }
        Report::write('handled', $this->job, $this->name);
    }
}
