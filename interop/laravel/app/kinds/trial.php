<?php

use App\Jobs\Trial;

return [
    'backoff' => static fn () => dispatch(new Trial('throw', ['tries' => 3, 'backoff' => [1, 3]])),
    'retry until' => static fn () => dispatch(new Trial('throw', ['tries' => 1, 'retryUntil' => now()->addSeconds(8)])),
    'exceptions' => static fn () => dispatch(new Trial('throw', ['tries' => 9, 'maxExceptions' => 2])),
    'timeout' => static fn () => dispatch(new Trial('sleep', ['tries' => 2, 'timeout' => 1])),
];
