<?php
// The worker of think-queue's versions, as far as its peer has to do with it.

declare(strict_types=1);

final class Worker
{
    private ?string $restart;
    private ?Cache $cache;

    public function __construct(private Queue $queue, private array $s, private array $o)
    {
        $this->cache = isset($s['cache']) ? new Cache($s['cache']) : null;
        $this->restart = $this->signal();
    }

    private function first(): bool
    {
        return $this->s['profile'] === 'tq1';
    }

    // run works until told to stop; with --stop-when-empty until nothing is ready.
    public function run(): void
    {
        while (true) {
            $job = null;
            try {
                foreach (explode(',', $this->o['queue'] ?? 'default') as $name) {
                    if ($job = $this->queue->pop($name)) {
                        break;
                    }
                }
            } catch (PDOException $e) {
                // As all versions do: a pop that fails (its plain row lock meets
                // deadlocks on MySQL) is reported, and the loop goes on.
                fwrite(STDERR, $e->getMessage() . "\n");
            }
            if ($job !== null) {
                $this->process($job);
            } elseif (isset($this->o['stop-when-empty'])) {
                return;
            } else {
                usleep((int) (1e6 * (float) ($this->o['sleep'] ?? 0.05)));
            }
            if (isset($this->o['once']) || $this->signal() !== $this->restart) {
                return;
            }
        }
    }

    // signal is the value of the restart key in the application's cache.
    private function signal(): ?string
    {
        return $this->cache?->get('think:queue:restart');
    }

    private function process(Job $job): void
    {
        $tries = (int) ($this->o['tries'] ?? 0);
        if ($this->first()) {
            if ($tries > 0 && $job->attempts() > $tries) {
                $this->fail($job, null);
                return;
            }
            try {
                $this->fire($job);
            } catch (Exception $e) {
                if (!$job->deleted) {
                    $job->release((int) ($this->o['delay'] ?? 0));
                }
            }
            return;
        }
        $tries = (int) ($job->payload['maxTries'] ?? $tries);
        $until = $job->payload['timeoutAt'] ?? null;
        try {
            if ($until === null ? $tries > 0 && $job->attempts() > $tries : $until <= $this->queue->now()) {
                $this->fail($job, $e = new RuntimeException('attempted too many times'));
                throw $e;
            }
            $this->fire($job);
        } catch (Throwable $e) {
            if (!$job->failed && ($until === null ? $tries > 0 && $job->attempts() >= $tries : $until <= $this->queue->now())) {
                $this->fail($job, $e);
            }
            if (!$job->deleted && !$job->released && !$job->failed) {
                $job->release((int) ($this->o['delay'] ?? 0));
            }
        }
    }

    private function fire(Job $job): void
    {
        if ($job->payload['job'] === 'think\queue\CallQueuedHandler@call') {
            unserialize($job->payload['data']['command'])->handle();
            if (!$job->deleted && !$job->released) {
                $job->delete();
            }
            return;
        }
        [$class, $method] = $this->resolve($job->payload['job']);
        if ($this->first() && !class_exists($class)) {
            return; // and it comes back when its reservation has run out
        }
        (new $class())->$method($job, $job->payload['data']);
    }

    private function fail(Job $job, ?Throwable $e): void
    {
        $job->failed = true;
        if ($job->deleted) {
            return;
        }
        $job->delete();
        [$class] = $this->resolve($job->payload['job']);
        if (method_exists($class, 'failed')) {
            (new $class())->failed($job->payload['data'], $e);
        }
        if (!$this->first() && isset($this->s['failed'])) {
            failed($this->s)->prepare("INSERT INTO {$this->s['failed']['table']} (connection, queue, payload, exception, fail_time) VALUES (?, ?, ?, ?, ?)")
                ->execute([$this->s['name'], $job->queue, $job->body, (string) $e, date('Y-m-d H:i:s')]);
        }
    }

    // resolve returns the class and the method that a job's name stands for.
    private function resolve(string $name): array
    {
        [$class, $method] = explode('@', $name . '@fire');
        if (str_contains($class, '\\')) {
            return [$class, $method];
        }
        if ($this->s['profile'] === 'tq3') {
            return ['app\\job\\' . str_replace(' ', '', ucwords(strtr($class, '-_', '  '))), $method];
        }
        $module = '';
        if (str_contains($class, '/')) {
            [$module, $class] = explode('/', $class, 2);
            $module = strtolower($module) . '\\';
        }
        return ["app\\{$module}job\\$class", $method];
    }
}

function failed(array $s): PDO
{
    return new PDO($s['failed']['dsn'], $s['failed']['user'] ?? null, $s['failed']['password'] ?? null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}
