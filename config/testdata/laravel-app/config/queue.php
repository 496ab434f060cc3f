<?php
return [
    'default' => env('QUEUE_CONNECTION', 'sync'),
    'connections' => [
        'sync' => ['driver' => 'sync'],
        'database' => ['driver' => 'database', 'table' => 'my_jobs', 'queue' => 'default', 'retry_after' => null, 'after_commit' => true],
        'redis' => ['driver' => 'redis', 'connection' => 'queue', 'queue' => env('REDIS_QUEUE', '{default}'), 'retry_after' => (int) env('JOB_LEASE', 90), 'block_for' => 5],
        'reports' => ['driver' => 'redis', 'connection' => 'queue', 'queue' => 'reports'], // no retry_after: the framework takes 60
        'rabbit' => ['driver' => 'rabbitmq', 'host' => 'x'],
        'after' => ['driver' => 'deferred'],
        'safe' => ['driver' => 'failover', 'connections' => ['redis', 'rabbit', 'after']],
        'lost' => ['driver' => 'failover', 'connections' => ['rabbit']],
        // As every application of its version has it, used or not.
        'beanstalkd' => ['driver' => 'beanstalkd', 'host' => 'localhost', 'queue' => 'default', 'retry_after' => 90, 'block_for' => 0, 'after_commit' => false],
        'stalk' => ['driver' => 'beanstalkd', 'host' => 'localhost', 'queue' => 'default', 'retry_after' => 90, 'block_for' => 0],
    ],
    'failed' => ['driver' => env('QUEUE_FAILED_DRIVER', 'database-uuids'), 'database' => env('DB_CONNECTION', 'mysql'), 'table' => 'failed_jobs'],
];
