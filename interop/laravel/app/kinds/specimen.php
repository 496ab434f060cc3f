<?php

use App\Handlers\Anything;
use App\Jobs\Reminder;
use App\Jobs\Secret;
use App\Jobs\Specimen;
use Illuminate\Support\Facades\Queue;

return [
    'specimen' => static fn () => dispatch(Specimen::make()),
    'secret' => static fn () => Secret::dispatch('4111 1111 中', "\xff\xfe\0\x80"),
    'named queue' => static fn () => Reminder::dispatch(time())->onQueue('emails-high.1'),
    'delayed' => static fn () => Reminder::dispatch(time() + 2)->delay(2),
    'delayed to a date' => static fn () => Reminder::dispatch(time() + 2)->delay(now()->addSeconds(2)),
    'string jobs with any data' => static function () {
        Queue::push(Anything::class);
        Queue::bulk([Anything::class], '订单/7');
        Queue::push(Anything::class, [1, '二', null, []]);
        Queue::push(Anything::class, -0.1);
        Queue::later(0, Anything::class, false);
        Queue::push(Anything::class, ['max' => PHP_INT_MAX, '' => (object) []]);
    },
    // What Horizon and the log context of Laravel 11 add to every payload.
    'with further keys' => static function () {
        Queue::createPayloadUsing(static fn () => [
            'illuminate:log:context' => ['data' => ['trace_id' => serialize('跟踪-1')], 'hidden' => ['n' => serialize(1)]],
            'type' => 'job',
            'tags' => ['App\Models\Customer:1', '急'],
            'silenced' => false,
            'pushedAt' => '1795174105.1234',
        ]);
        Reminder::dispatch(0)->onQueue('extras');
        Queue::createPayloadUsing(null);
    },
];
