<?php

namespace App\Support;

/** What the tests read: one JSON line for each job that ran, in the file that INTEROP_REPORT names. */
final class Report
{
    public static function write(string $event, $job, $data): void
    {
        $row = [
            'event' => $event,
            'time' => microtime(true),
            'uuid' => $job ? $job->uuid() : null,
            'attempt' => $job ? $job->attempts() : null,
            'queue' => $job ? $job->getQueue() : null,
            'connection' => $job ? $job->getConnectionName() : null,
            'data' => $data,
        ];
        $json = json_encode($row, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR);
        file_put_contents(getenv('INTEROP_REPORT'), $json."\n", FILE_APPEND | LOCK_EX);
    }
}
