<?php

namespace App\Jobs;

use App\Support\Report;
use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;
use Illuminate\Queue\SerializesModels;

/** A class job with properties of every visibility and kind. */
class ShipOrder implements ShouldQueue
{
    use Dispatchable, InteractsWithQueue, Queueable, SerializesModels;

    public $tries = 3;

    public $timeout = 30;

    public int $id;

    protected string $customer;

    private float $total;

    public bool $paid;

    protected ?string $note;

    private int $big;

    protected array $lines;

    private array $limits;

    public function __construct(array $data)
    {
        foreach ($data as $name => $value) {
            $this->$name = $value;
        }
    }

    public function handle()
    {
        Report::write('handled', $this->job, [
            'id' => $this->id, 'customer' => $this->customer, 'total' => $this->total, 'paid' => $this->paid,
            'note' => $this->note, 'big' => $this->big, 'lines' => $this->lines, 'limits' => $this->limits,
        ]);
    }
}
