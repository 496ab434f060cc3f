<?php

use App\Jobs\SecretStep;
use App\Jobs\Step;
use App\Support\Report;
use Illuminate\Support\Facades\Bus;

// Links run where their queue is worked: php or go.
$php = static fn (string $class, string $name) => (new $class($name))->onQueue('php');
$go = static fn (string $class, string $name) => (new $class($name))->onQueue('go');
$caught = static function (Throwable $e) {
    Report::write('caught', null, [get_class($e), $e->getMessage()]);
};

return [
    'chain' => static fn () => Bus::chain([
        $php(Step::class, 'one'), $go(Step::class, 'two'), new Step('three'), $go(Step::class, 'four'), new Step('five'),
    ])->onQueue('php')->dispatch(),
    'secret chain' => static fn () => Bus::chain([
        $go(SecretStep::class, 'one'), $php(SecretStep::class, 'two'), $go(SecretStep::class, 'three'), $php(SecretStep::class, 'four'),
    ])->catch($caught)->dispatch(),
    'chain with catch' => static function () use ($php, $go, $caught) {
        $prefix = '失败'; // the closures bring their variables along
        Bus::chain([$php(Step::class, 'one'), $go(Step::class, 'two'), new Step('three'), $go(Step::class, 'four')])
            ->onQueue('php')
            ->catch(static function ($e) use ($prefix) {
                Report::write('caught', null, $prefix.': '.$e->getMessage());
            })
            ->catch($caught)
            ->dispatch();
    },
];
