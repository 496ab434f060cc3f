<?php
// Reads a JSON list of .env files on standard input and prints what
// vlucas/phpdotenv and Laravel's env() make of each: a list of
// {"vars": {NAME: value as env() returns it, as text}, or "error": message}.
// Needs the Debian packages php-vlucas-phpdotenv and php-laravel-framework.
error_reporting(E_ALL & ~E_DEPRECATED);
require '/usr/share/php/Illuminate/autoload.php';
require_once '/usr/share/php/Dotenv/autoload.php';
$out = [];
foreach (json_decode(stream_get_contents(STDIN), true) as $input) {
    foreach (array_keys($_ENV) as $k) {
        unset($_ENV[$k]);
    }
    $_SERVER = ['FROM_PROCESS' => 'process'];
    try {
        $adapter = Dotenv\Repository\Adapter\ArrayAdapter::create()->get();
        $adapter->write('FROM_PROCESS', 'process');
        $repository = Dotenv\Repository\RepositoryBuilder::createWithNoAdapters()->addAdapter($adapter)->immutable()->make();
        $entries = (new Dotenv\Parser\Parser)->parse(base64_decode($input));
        $vars = array_filter((new Dotenv\Loader\Loader)->load($repository, $entries), 'is_string');
        $out[] = ['vars' => (object) array_map('base64_encode', $vars)];
    } catch (Throwable $e) {
        $out[] = ['error' => true];
    }
}
echo json_encode($out);
