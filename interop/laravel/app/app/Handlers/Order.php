<?php

namespace App\Handlers;

use App\Support\Report;

/** String jobs: Queue::push('App\Handlers\Order@ship', $data). */
class Order
{
    public function ship($job, $data)
    {
        Report::write('handled', $job, $data);
        $job->delete();
    }

    public function refuse($job, $data)
    {
        throw new \RuntimeException('拒绝 '.$data['id']);
    }

    public function failed($data, $e, $uuid)
    {
        Report::write('failed', null, ['uuid' => $uuid, 'data' => $data, 'message' => $e->getMessage()]);
    }
}
