<?php
// Replays what was done to the real think-queue: each line of standard input is
// {"call": PHP source as in the recording, "now": unix second, "queue": name};
// each line of output is {"returned": …, "attempts": …, "raised": …}.

declare(strict_types=1);

require __DIR__ . '/queue.php';

set_error_handler(function (int $level, string $message, string $file, int $line): bool {
    throw new ErrorException($message, 0, $level, $file, $line);
});

$q = Queue::open(json_decode(file_get_contents($argv[1]), true, 512, JSON_THROW_ON_ERROR));
$job = $first = null;
while (($line = fgets(STDIN)) !== false) {
    $step = json_decode($line, true, 512, JSON_THROW_ON_ERROR);
    $q->clock = $step['now'];
    $queue = $step['queue'];
    $out = ['returned' => null];
    try {
        $call = $step['call'];
        if (str_starts_with($call, 'migrateExpiredJobs')) {
            $q->migrate($queue, str_contains($call, ':reserved'));
        } else {
            // queue is the recorder's variable; the connector's calls have no object.
            $call = preg_replace('/\bqueue\)/', '$queue)', $call);
            $source = str_starts_with($call, '$') ? $call : '$q->' . $call;
            $result = eval((str_contains($call, ';') ? '' : 'return ') . $source . ';');
            if (str_starts_with($call, 'pop')) {
                $job = $result;
                $first ??= $job;
                try {
                    $out['attempts'] = $job?->attempts();
                } catch (Throwable) { // it was popped all the same
                    $out['attempts'] = null;
                }
            } else {
                $out['returned'] = $result;
            }
        }
    } catch (Throwable $e) {
        $out['raised'] = $e->getMessage();
    }
    echo json_encode($out, JSON_THROW_ON_ERROR), "\n";
}
