<?php
/*
 * Boots the real Illuminate\Foundation\Application, of Debian's
 * php-laravel-framework. The tests name a folder of their own in INTEROP_RUN:
 * its .env, its storage and its migrations are the application's, so that this
 * folder stays as it is.
 */
error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED); // the framework is older than this PHP
ini_set('display_errors', 'stderr');

require_once 'Illuminate/autoload.php';
// Debian's autoloader of the queue looks for Pheanstalk in another folder than
// the one it is packaged in.
if (stream_resolve_include_path('Pheanstalk/autoload.php')) {
    require_once 'Pheanstalk/autoload.php';
}
spl_autoload_register(static function (string $class): void {
    if (strncmp($class, 'App\\', 4) === 0) {
        foreach ([dirname(__DIR__), getenv('INTEROP_RUN')] as $dir) { // the latter has what Spool has made
            $file = $dir.'/app/'.strtr(substr($class, 4), '\\', '/').'.php';
            if (is_file($file)) {
                require $file;

                return;
            }
        }
    }
});

$run = getenv('INTEROP_RUN');
if ($run === false || ! is_file("$run/.env")) {
    fwrite(STDERR, "INTEROP_RUN must name a folder with an .env\n");
    exit(2);
}
foreach (['database/migrations', 'storage/framework/cache/data', 'storage/framework/views', 'storage/logs', 'bootstrap'] as $dir) {
    is_dir("$run/$dir") || @mkdir("$run/$dir", 0777, true);
}
foreach (['SERVICES', 'PACKAGES', 'CONFIG', 'EVENTS', 'ROUTES'] as $what) {
    $_ENV["APP_{$what}_CACHE"] = $_SERVER["APP_{$what}_CACHE"] = "$run/bootstrap/".strtolower($what).'.php';
}

$app = new Illuminate\Foundation\Application(dirname(__DIR__));
$app->useEnvironmentPath($run);
$app->useStoragePath("$run/storage");
$app->useDatabasePath("$run/database");
$app->singleton(Illuminate\Contracts\Console\Kernel::class, App\Console\Kernel::class);
$app->singleton(Illuminate\Contracts\Debug\ExceptionHandler::class, App\Exceptions\Handler::class);

return $app;
