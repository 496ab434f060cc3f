<?php

namespace App\Console;

use Illuminate\Foundation\Console\Kernel as ConsoleKernel;

class Kernel extends ConsoleKernel
{
    protected function commands()
    {
        if (is_file($file = base_path('routes/console.php'))) {
            require $file;
        }
    }
}
