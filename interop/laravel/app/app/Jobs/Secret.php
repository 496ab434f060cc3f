<?php

namespace App\Jobs;

use App\Support\Report;
use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldBeEncrypted;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;

/** An encrypted job. Only such a one can hold bytes that are no text. */
class Secret implements ShouldQueue, ShouldBeEncrypted
{
    use Dispatchable, InteractsWithQueue, Queueable;

    public string $card;

    private string $bytes;

    public function __construct(string $card, string $bytes)
    {
        [$this->card, $this->bytes] = [$card, $bytes];
    }

    public function handle()
    {
        Report::write('handled', $this->job, ['card' => $this->card, 'bytes' => bin2hex($this->bytes)]);
    }
}
