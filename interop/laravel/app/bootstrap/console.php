<?php
// The application as a script of its own has it: booted, with its commands.
$app = require __DIR__.'/app.php';
$app->make(Illuminate\Contracts\Console\Kernel::class)->bootstrap();

return $app;
