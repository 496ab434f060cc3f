<?php

use App\Jobs\Endure;

return [
    'endure' => static fn () => Endure::dispatch(),
];
