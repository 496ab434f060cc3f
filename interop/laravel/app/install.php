<?php
/*
 * Makes the application's migrations and runs them on the database of its
 * .env: Laravel's own commands write those of its tables, database/migrations
 * here holds those of the application's models.
 */
require __DIR__.'/bootstrap/console.php';

use Illuminate\Support\Facades\Artisan;

foreach (['queue:table', 'queue:failed-table', 'queue:batches-table', 'cache:table'] as $command) {
    if (Artisan::call($command) !== 0) {
        throw new RuntimeException(Artisan::output());
    }
}
foreach (glob(__DIR__.'/database/migrations/*.php') as $file) {
    copy($file, database_path('migrations/'.basename($file)));
}
if (Artisan::call('migrate', ['--force' => true]) !== 0) {
    throw new RuntimeException(Artisan::output());
}
