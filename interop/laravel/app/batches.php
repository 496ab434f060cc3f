<?php
/*
 * Prints what Laravel itself says of the batches in its table, oldest first:
 * one JSON object for each. php batches.php cancel ID cancels one
 * instead, php batches.php prune forgets those that are finished.
 */
require __DIR__.'/bootstrap/console.php';

use Illuminate\Bus\BatchRepository;
use Illuminate\Support\Facades\DB;

$batches = app(BatchRepository::class);
if (($argv[1] ?? '') === 'cancel') {
    $batches->find($argv[2])->cancel();
    exit;
}
if (($argv[1] ?? '') === 'prune') {
    $batches->prune(new DateTime('+1 hour')); // what queue:prune-batches calls
    exit;
}
foreach (DB::table('job_batches')->orderBy('id')->pluck('id') as $id) {
    $b = $batches->find($id);
    echo json_encode([
        'ID' => $b->id, 'Name' => $b->name, 'Total' => $b->totalJobs, 'Pending' => $b->pendingJobs, 'Failed' => $b->failedJobs,
        'FailedIDs' => $b->failedJobIds, 'Cancelled' => $b->cancelled(), 'Finished' => $b->finished(), 'Progress' => $b->progress(),
        'Queue' => $b->options['queue'] ?? null, 'AllowFailures' => $b->allowsFailures(),
    ], JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
}
