<?php

use App\Jobs\Import;
use App\Support\Report;
use Illuminate\Bus\Batch;
use Illuminate\Support\Facades\Bus;

// Laravel pushes the members of a batch to one queue, whatever they say
// themselves. What a closure is told: the batch as it is then, and the exception.
$told = static function (string $event) {
    return static function (Batch $batch, ?Throwable $e = null) use ($event) {
        Report::write($event, null, [
            $batch->name, $batch->totalJobs, $batch->pendingJobs, $batch->failedJobs, $batch->cancelled(),
            $e ? get_class($e).': '.$e->getMessage() : null,
        ]);
    };
};
$batch = static fn (string $name, int $n) => Bus::batch(array_map(static fn ($part) => new Import($part), range(1, $n)))
    ->name($name)->onQueue('imports')
    ->then($told('then'))->catch($told('catch'))->finally($told('finally'));

return [
    'batch' => static fn () => $batch('mixed 批', 4)->dispatch(),
    'batch with failures' => static fn () => $batch('failing', 3)->allowFailures()->dispatch(),
    'batch that a failure cancels' => static fn () => $batch('cancelled', 3)->dispatch(),
    'batch whose closure throws' => static fn () => Bus::batch([new Import(1)])->name('throws')->onQueue('imports')
        ->then(static function () { throw new RuntimeException('broken'); })
        ->then($told('then'))->dispatch(),
];
