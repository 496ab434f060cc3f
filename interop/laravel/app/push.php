<?php
/*
 * Pushes jobs with the real Laravel: php push.php KIND N [KIND N ...] pushes
 * jobs 1 to N of each kind, in this order. Every file of kinds/ returns kinds
 * by name: functions that push the job of a number.
 */
require __DIR__.'/bootstrap/console.php';

$kinds = [];
foreach (glob(__DIR__.'/kinds/*.php') as $file) {
    $kinds += require $file;
}
foreach (array_chunk(array_slice($argv, 1), 2) as $part) {
    [$kind, $n] = $part + ['', ''];
    if (! isset($kinds[$kind]) || ! ctype_digit($n)) {
        fwrite(STDERR, "no kind of job and number: $kind $n\n");
        exit(2);
    }
    for ($i = 1; $i <= (int) $n; $i++) {
        $kinds[$kind]($i);
    }
}
