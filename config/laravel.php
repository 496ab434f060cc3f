<?php
// Asked by Spool: boots the application in the current folder and prints the
// parts of its resolved configuration that a queue worker needs. Reads two
// arguments: the bootstrap file and a mark that goes before the answer.
[, $bootstrap, $mark] = $argv;
foreach (['vendor/autoload.php'] as $file) {
    if (is_file($file)) {
        require_once $file;
    }
}
defined('LARAVEL_START') || define('LARAVEL_START', microtime(true));
$app = require $bootstrap;
if (! is_object($app) || ! method_exists($app, 'make')) {
    fwrite(STDERR, "$bootstrap does not return the application\n");
    exit(3);
}
$app->make(Illuminate\Contracts\Console\Kernel::class)->bootstrap();

/** Closures and other objects say nothing to Spool. */
$plain = function ($value) use (&$plain) {
    if (is_array($value)) {
        return (object) array_map($plain, $value);
    }
    return is_object($value) || is_resource($value) ? null : $value;
};
$config = $app->make('config');
$database = (array) $config->get('database');
// The TLS settings of MySQL hide under numbers of PDO's.
foreach ((array) ($database['connections'] ?? []) as $name => $c) {
    foreach (['sslca' => 'SSL_CA', 'sslcert' => 'SSL_CERT', 'sslkey' => 'SSL_KEY'] as $key => $const) {
        foreach (["PDO::MYSQL_ATTR_$const", "Pdo\\Mysql::ATTR_$const"] as $id) {
            if (defined($id) && isset($c['options'][constant($id)])) {
                $database['connections'][$name][$key] = $c['options'][constant($id)];
            }
        }
    }
}
$answer = [
    'version' => $app->version(),
    'storage' => $app->storagePath(),
    'app' => array_intersect_key((array) $config->get('app'), array_flip(['name', 'env', 'key', 'previous_keys', 'cipher', 'timezone', 'maintenance'])),
    'queue' => $config->get('queue'),
    'database' => array_intersect_key($database, array_flip(['default', 'connections', 'redis'])),
    'cache' => $config->get('cache'),
];
echo $mark, json_encode($plain($answer), JSON_INVALID_UTF8_SUBSTITUTE | JSON_PARTIAL_OUTPUT_ON_ERROR | JSON_UNESCAPED_SLASHES), $mark;
