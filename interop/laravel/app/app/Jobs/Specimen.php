<?php

namespace App\Jobs;

use App\Models\Customer;
use App\Support\Address;
use App\Support\Color;
use App\Support\Report;
use App\Support\Size;
use DateTimeImmutable;
use DateTimeZone;
use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Database\Eloquent\Collection as Models;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;
use Illuminate\Queue\SerializesModels;
use Illuminate\Support\Carbon;
use Illuminate\Support\Collection;

/** A class job with a property of every kind of value. Few have a default. */
class Specimen implements ShouldQueue
{
    use Dispatchable, InteractsWithQueue, Queueable, SerializesModels;

    public int $number;

    protected string $customer;

    private int $largest;

    private int $smallest;

    protected float $price;

    public float $huge;

    public float $tiny;

    public float $whole = 3.0;

    public float $negativeZero;

    private float $infinite;

    private float $belowAll;

    private float $notANumber;

    public bool $yes = true;

    protected bool $no = false;

    public ?string $nothing;

    protected Address $address;

    private array $nested;

    public Collection $tags;

    public Color $color;

    protected Size $size;

    public Carbon $due;

    protected DateTimeImmutable $made;

    public Customer $buyer;

    protected Models $watchers;

    public static function make(): self
    {
        $job = new self;
        $job->number = 7;
        $job->customer = "订单 \"é\" 🚀/\\\0\n";
        $job->largest = PHP_INT_MAX;
        $job->smallest = PHP_INT_MIN;
        $job->price = -0.1;
        $job->huge = 1e100;
        $job->tiny = 5e-324;
        $job->negativeZero = -0.0;
        $job->infinite = INF;
        $job->belowAll = -INF;
        $job->notANumber = NAN;
        $job->nothing = null;
        $job->color = Color::Green;
        $job->size = Size::Large;
        $job->address = new Address('南京路 1', 'Shanghai', null);
        $job->nested = ['list' => [1, 2.5, '三', null, true], 'map' => ['5' => 'five', 'a.b' => ['x' => []]]];
        $job->tags = collect(['急', 'b']);
        $job->due = Carbon::create(2026, 2, 28, 23, 59, 59.000001, 'Asia/Shanghai');
        $job->made = new DateTimeImmutable('2024-02-29 12:34:56.789012', new DateTimeZone('+02:00'));
        $job->buyer = Customer::findOrFail(1);
        $job->watchers = Customer::orderByDesc('id')->get();

        return $job;
    }

    public function handle()
    {
        $own = array_diff_key(get_object_vars($this), get_class_vars(Queueable::class), ['job' => 0]);
        Report::write('handled', $this->job, array_map([$this, 'describe'], $own));
    }

    /** A value as text that tells its type too. */
    private function describe($value): string
    {
        return match (true) {
            $value instanceof \UnitEnum => get_class($value).'::'.$value->name,
            $value instanceof Address => $value->describe(),
            $value instanceof \DateTimeInterface => get_class($value).' '.$value->format('Y-m-d\TH:i:s.uP e'),
            $value instanceof Customer => get_class($value)." $value->id $value->name",
            $value instanceof Models => get_class($value).': '.$value->map(fn ($model) => $this->describe($model))->implode(', '),
            $value instanceof Collection => get_class($value).' '.json_encode($value, JSON_UNESCAPED_UNICODE),
            is_array($value) => json_encode($value, JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION),
            default => var_export($value, true),
        };
    }
}
