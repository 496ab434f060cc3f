<?php
// The peer of Spool in the tests: a small think-queue, of the version that the
// settings name. It is our own, from the facts; replay.php holds it to what the
// real versions did.
//
//   php peer.php SETTINGS.json push JOB DATA-JSON QUEUE [DELAY [TIMES]]
//   php peer.php SETTINGS.json object N QUEUE
//   php peer.php SETTINGS.json work [--queue=a,b] [--tries=N] [--delay=N] [--sleep=N] [--once] [--stop-when-empty]
//   php peer.php SETTINGS.json restart
//   php peer.php SETTINGS.json failed | retry ID
//
// Settings: profile, version, driver (redis, database), name (of the connection), expire
// (seconds or null); host, port, select of Redis; dsn, user, password, table of
// a database; optional failed (dsn, user, password, table) and cache (see
// cache.php).

declare(strict_types=1);

require __DIR__ . '/cache.php';
require __DIR__ . '/queue.php';
require __DIR__ . '/jobs.php';
require __DIR__ . '/worker.php';

set_error_handler(function (int $level, string $message, string $file, int $line): bool {
    throw new ErrorException($message, 0, $level, $file, $line);
});
date_default_timezone_set('PRC');

$s = json_decode(file_get_contents($argv[1]), true, 512, JSON_THROW_ON_ERROR);
$queue = Queue::open($s);
$args = array_slice($argv, 3);
switch ($argv[2]) {
    case 'push':
        [$job, $data, $name] = $args;
        $data = json_decode($data, false, 512, JSON_THROW_ON_ERROR);
        for ($times = (int) ($args[4] ?? 1); $times > 0; $times--) {
            echo json_encode($args[3] ?? 0 ? $queue->later($args[3] + 0, $job, $data, $name) : $queue->push($job, $data, $name)), "\n";
        }
        break;
    case 'object':
        echo json_encode($queue->push(new app\job\Objects((int) $args[0]), '', $args[1])), "\n";
        break;
    case 'work':
        $options = [];
        foreach ($args as $arg) {
            [$key, $value] = explode('=', substr($arg, 2) . '=');
            $options[$key] = $value;
        }
        (new Worker($queue, $s, $options))->run();
        break;
    case 'restart':
        (new Cache($s['cache']))->put('think:queue:restart', time());
        break;
    case 'failed':
        foreach (failed($s)->query("SELECT * FROM {$s['failed']['table']} ORDER BY id DESC")->fetchAll(PDO::FETCH_ASSOC) as $row) {
            echo json_encode($row, JSON_THROW_ON_ERROR), "\n";
        }
        break;
    case 'retry':
        $db = failed($s);
        $row = $db->query("SELECT * FROM {$s['failed']['table']} WHERE id = " . (int) $args[0])->fetch(PDO::FETCH_ASSOC);
        if ($row === false || $row['connection'] !== $s['name']) {
            fwrite(STDERR, "no such failed job of this connection\n");
            exit(1);
        }
        $payload = json_decode($row['payload'], true);
        if (isset($payload['attempts'])) {
            $payload['attempts'] = 0;
        }
        $queue->pushRaw(json_encode($payload), $row['queue']);
        $db->exec("DELETE FROM {$s['failed']['table']} WHERE id = " . (int) $args[0]);
        break;
    default:
        fwrite(STDERR, "no such command\n");
        exit(2);
}
