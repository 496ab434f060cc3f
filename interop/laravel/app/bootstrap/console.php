<?php
// The application as a script of its own has it: booted, with its commands.
// Laravel's own handler of exceptions would print them and end with 0.
$tell = static function (Throwable $e): void {
    fwrite(STDERR, $e);
    exit(1);
};
$app = require __DIR__.'/app.php';
try {
    $app->make(Illuminate\Contracts\Console\Kernel::class)->bootstrap();
} catch (Throwable $e) {
    $tell($e);
}
set_exception_handler($tell);

return $app;
