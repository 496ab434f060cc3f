<?php

namespace App\Support;

/** The data of job number $i. The tests in Go make the same. */
final class Sample
{
    public static function data(int $i): array
    {
        return [
            'id' => $i,
            'customer' => "订单 $i/\"é\"",
            'total' => $i + 0.25,
            'paid' => $i % 2 === 0,
            'note' => $i % 3 === 0 ? "备注 $i" : null,
            'big' => 9007199254740993 + $i, // more than a float holds
            'lines' => [
                ['sku' => "A-$i", 'qty' => 2, 'price' => 0.1, 'tags' => ['急', 'x']],
                ['sku' => 'B/2', 'qty' => $i, 'price' => -1.5, 'tags' => []],
            ],
            'limits' => ['min' => -$i, 'max' => null],
        ];
    }
}
