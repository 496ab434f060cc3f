<?php
// A small application on the Laravel of Debian's php-laravel-framework.
error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);
require_once '/usr/share/php/Illuminate/autoload.php';

class TestKernel extends Illuminate\Foundation\Console\Kernel
{
}

$app = new Illuminate\Foundation\Application(dirname(__DIR__));
$app->singleton(Illuminate\Contracts\Console\Kernel::class, TestKernel::class);
$app->singleton(Illuminate\Contracts\Debug\ExceptionHandler::class, Illuminate\Foundation\Exceptions\Handler::class);
echo "an application may print while it boots\n";

return $app;
