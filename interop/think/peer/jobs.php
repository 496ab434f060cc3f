<?php
// The jobs of the peer: they write down what they saw, and end as their data
// says: fail_times n throws on the first n attempts, release n releases once
// for n seconds, keep forgets to delete, sleep n takes so long.

declare(strict_types=1);

namespace {
    function report(string $event, string $job, int $attempts, mixed $data): void
    {
        $line = json_encode(['event' => $event, 'job' => $job, 'attempts' => $attempts, 'data' => $data], JSON_THROW_ON_ERROR);
        file_put_contents(getenv('THINK_REPORT'), $line . "\n", FILE_APPEND | LOCK_EX);
    }

    function perform(string $name, \Job $job, mixed $data): void
    {
        report('fire', $name, $job->attempts(), $data);
        if (is_array($data)) {
            if (isset($data['sleep'])) {
                sleep($data['sleep']);
            }
            if ($job->attempts() <= ($data['fail_times'] ?? 0)) {
                throw new \RuntimeException("attempt {$job->attempts()} of $name fails on purpose");
            }
            if (isset($data['release']) && $job->attempts() === 1) {
                $job->release($data['release']);
                return;
            }
            if (isset($data['keep'])) {
                return;
            }
        }
        $job->delete();
    }
}

namespace app\job {
    class Mail
    {
        public function fire(\Job $job, mixed $data): void
        {
            \perform('Mail', $job, $data);
        }

        public function digest(\Job $job, mixed $data): void
        {
            \perform('Mail@digest', $job, $data);
        }

        public function failed(mixed $data, ?\Throwable $e = null): void
        {
            \report('failed', 'Mail', 0, $data);
        }
    }

    class Objects
    {
        public function __construct(public int $n, private string $hidden = 'priv')
        {
        }

        public function handle(): void
        {
            \report('handle', 'Objects', 0, ['n' => $this->n, 'hidden' => $this->hidden]);
        }
    }
}

namespace app\index\job {
    class Mail extends \app\job\Mail
    {
        public function fire(\Job $job, mixed $data): void
        {
            \perform('index/Mail', $job, $data);
        }
    }
}
