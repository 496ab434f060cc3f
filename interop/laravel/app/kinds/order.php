<?php

use App\Jobs\ShipOrder;
use App\Support\Sample;
use Illuminate\Support\Facades\Queue;

return [
    'class' => static fn (int $i) => ShipOrder::dispatch(Sample::data($i)),
    'string' => static fn (int $i) => Queue::push('App\Handlers\Order@ship', Sample::data($i)),
    'refused' => static fn (int $i) => Queue::push('App\Handlers\Order@refuse', Sample::data($i)), // fails
];
