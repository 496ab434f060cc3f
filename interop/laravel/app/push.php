<?php
/*
 * Pushes jobs 1 to N with the real Laravel: php push.php KIND N
 *
 *   class    App\Jobs\ShipOrder, dispatched
 *   string   App\Handlers\Order@ship, by Queue::push
 *   refused  App\Handlers\Order@refuse, which fails
 */
$app = require __DIR__.'/bootstrap/app.php';
$app->make(Illuminate\Contracts\Console\Kernel::class)->bootstrap();

use App\Jobs\ShipOrder;
use App\Support\Sample;
use Illuminate\Support\Facades\Queue;

$kinds = [
    'class' => static fn (int $i) => ShipOrder::dispatch(Sample::data($i)),
    'string' => static fn (int $i) => Queue::push('App\Handlers\Order@ship', Sample::data($i)),
    'refused' => static fn (int $i) => Queue::push('App\Handlers\Order@refuse', Sample::data($i)),
];
[, $kind, $n] = $argv + [1 => '', 2 => ''];
if (! isset($kinds[$kind]) || ! ctype_digit($n)) {
    fwrite(STDERR, "usage: php push.php ".implode('|', array_keys($kinds))." N\n");
    exit(2);
}
for ($i = 1; $i <= (int) $n; $i++) {
    $kinds[$kind]($i);
}
