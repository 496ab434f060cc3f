<?php
// The two stores of think-queue's versions, written from what they were seen to
// do (see ../../../think/testdata): same keys, same columns, same bytes. Each
// takes the settings of peer.php; what differs by profile is decided here.

declare(strict_types=1);

abstract class Queue
{
    public ?int $clock = null; // set by a replay

    public function __construct(protected array $s)
    {
    }

    public static function open(array $s): Queue
    {
        return $s['driver'] === 'redis' ? new RedisQueue($s) : new TableQueue($s);
    }

    public function now(): int
    {
        return $this->clock ?? time();
    }

    protected function first(): bool // versions 1 and 2
    {
        return $this->s['profile'] === 'tq1';
    }

    protected function name(?string $queue): string
    {
        return $queue ?: 'default';
    }

    // payload is what a producer makes of a job, without what the store adds.
    protected function payload(mixed $job, mixed $data): array
    {
        $p = is_object($job)
            ? ['job' => 'think\queue\CallQueuedHandler@call', 'maxTries' => $job->tries ?? null, 'timeout' => $job->timeout ?? null,
                'timeoutAt' => $job->timeoutAt ?? null, 'data' => ['commandName' => get_class($job), 'command' => serialize(clone $job)]]
            : ['job' => $job, 'maxTries' => null, 'timeout' => null, 'data' => $data];
        return $this->first() ? ['job' => $p['job'], 'data' => $p['data']] : $p;
    }

    protected function encode(mixed $payload): string
    {
        $text = json_encode($payload);
        if ($text === false) {
            throw new InvalidArgumentException('Unable to create payload: ' . json_last_error_msg());
        }
        return $text;
    }

    // seconds turns a delay of version 3 into whole seconds.
    protected function seconds(mixed $delay): mixed
    {
        if ($this->first()) {
            return $delay;
        }
        if ($delay instanceof DateInterval) {
            $delay = (new DateTimeImmutable('@' . $this->now()))->add($delay);
        }
        return $delay instanceof DateTimeInterface ? $delay->getTimestamp() - $this->now() : (int) $delay;
    }

    abstract public function push(mixed $job, mixed $data = '', ?string $queue = null);
    abstract public function later(mixed $delay, mixed $job, mixed $data = '', ?string $queue = null);
    abstract public function pushRaw(string $payload, ?string $queue = null);
    abstract public function pop(?string $queue = null): ?Job;
    // expireNow moves expired reservations back, as pop begins by doing.
    abstract public function migrate(?string $queue, bool $reserved): void;
    abstract public function drop(Job $job): void;
    abstract public function again(Job $job, mixed $delay): void;
}

// Job is one delivery.
final class Job
{
    public bool $deleted = false, $released = false, $failed = false;
    public mixed $payload;

    // body is what was popped, held what is reserved, attempts null where the
    // payload is to tell, id what the store calls it.
    public function __construct(private Queue $store, public string $queue, public string $body, public string $held, private mixed $attempts, public string $id)
    {
        $this->payload = json_decode($body, true);
    }

    public function attempts(): mixed
    {
        return $this->attempts ?? $this->payload['attempts'];
    }

    public function delete(): void
    {
        $this->deleted = true;
        $this->store->drop($this);
    }

    public function release(mixed $delay = 0): void
    {
        $this->released = true;
        $this->store->again($this, $delay);
    }
}

final class RedisQueue extends Queue
{
    private ?Redis $redis = null;

    private function redis(): Redis
    {
        if ($this->redis === null) {
            $this->redis = new Redis();
            $this->redis->connect($this->s['host'], (int) $this->s['port']);
            $this->redis->select((int) ($this->s['select'] ?? 0));
        }
        return $this->redis;
    }

    private function key(?string $queue): string
    {
        $key = 'queues:' . $this->name($queue);
        return $this->s['profile'] === 'tq3' ? '{' . $key . '}' : $key;
    }

    private function body(mixed $job, mixed $data): array
    {
        $id = '';
        $letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ' . ($this->first() ? '0123456789' : '');
        for ($i = 0; $i < 32; $i++) {
            $id .= $letters[random_int(0, strlen($letters) - 1)];
        }
        $payload = $this->payload($job, $data);
        if ($this->first()) {
            $payload = json_decode($this->encode($payload), true);
        }
        return [$id, $this->encode($payload + ['id' => $id, 'attempts' => $this->first() ? 1 : 0])];
    }

    public function push(mixed $job, mixed $data = '', ?string $queue = null)
    {
        [$id, $body] = $this->body($job, $data);
        $this->redis()->rPush($this->key($queue), $body);
        return $id;
    }

    public function later(mixed $delay, mixed $job, mixed $data = '', ?string $queue = null)
    {
        [$id, $body] = $this->body($job, $data);
        $this->redis()->zAdd($this->key($queue) . ':delayed', $this->now() + $this->seconds($delay), $body);
        return $this->first() ? null : $id;
    }

    public function pushRaw(string $payload, ?string $queue = null)
    {
        $this->redis()->rPush($this->key($queue), $payload);
        return json_decode($payload, true)['id'] ?? null;
    }

    public function migrate(?string $queue, bool $reserved): void
    {
        $r = $this->redis();
        $list = $this->key($queue);
        $set = $list . ($reserved ? ':reserved' : ':delayed');
        $r->watch($set);
        $due = $r->zRangeByScore($set, '-inf', (string) $this->now());
        if ($due === []) {
            $r->unwatch();
            return;
        }
        $r->multi();
        try {
            $r->zRemRangeByRank($set, 0, count($due) - 1);
            foreach ($due as $body) {
                $r->rPush($list, $reserved && $this->first() ? $this->raised($body) : $body);
            }
            $r->exec();
        } catch (Exception $e) {
            $r->discard(); // one bad item, and none comes back
        }
    }

    private function raised(string $body): string
    {
        $payload = json_decode($body, true);
        $payload['attempts']++;
        return $this->encode($payload);
    }

    public function pop(?string $queue = null): ?Job
    {
        $expire = $this->s['expire'];
        $this->migrate($queue, false);
        if ($expire !== null) {
            $this->migrate($queue, true);
        }
        $body = $this->redis()->lPop($this->key($queue));
        if ($body === false || !$this->first() && !$body) { // '' and '0' are gone without a word
            return null;
        }
        $payload = json_decode($body, true);
        $held = $body;
        if (!$this->first()) {
            $payload['attempts']++;
            $held = $this->encode($payload);
        }
        $this->redis()->zAdd($this->key($queue) . ':reserved', $this->now() + (int) $expire, $held);
        return new Job($this, $this->name($queue), $body, $held, $this->first() ? null : $payload['attempts'], (string) ($payload['id'] ?? ''));
    }

    public function drop(Job $job): void
    {
        $this->redis()->zRem($this->key($job->queue) . ':reserved', $job->held);
    }

    public function again(Job $job, mixed $delay): void
    {
        $this->drop($job);
        $body = $this->first() ? $this->raised($job->held) : $job->held;
        $this->redis()->zAdd($this->key($job->queue) . ':delayed', $this->now() + $this->seconds($delay), $body);
    }
}

final class TableQueue extends Queue
{
    private ?PDO $db = null;

    private function db(): PDO
    {
        $this->db ??= new PDO($this->s['dsn'], $this->s['user'] ?? null, $this->s['password'] ?? null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
        return $this->db;
    }

    private function run(string $sql, array $args): PDOStatement
    {
        $columns = $this->first()
            ? ['{at}' => 'reserved_at', '{due}' => 'available_at', '{made}' => 'created_at', '{free}' => 'reserved = 0', '{mark}' => 'reserved = 1, reserved_at']
            : ['{at}' => 'reserve_time', '{due}' => 'available_time', '{made}' => 'create_time', '{free}' => 'reserve_time IS NULL', '{mark}' => 'attempts = attempts + 1, reserve_time'];
        $st = $this->db()->prepare(strtr($sql, $columns + ['{jobs}' => $this->s['table']]));
        $st->execute($args);
        return $st;
    }

    private function insert(string $queue, string $payload, mixed $delay, int $attempts): int
    {
        $flag = $this->first() ? ['reserved, ', '0, '] : ['', ''];
        $now = $this->now();
        $due = $now + $this->seconds($delay);
        if (!str_starts_with($this->s['version'], '1.')) {
            $due = (int) $due; // before, the database rounds
        }
        $this->run("INSERT INTO {jobs} (queue, payload, attempts, {$flag[0]}{at}, {due}, {made}) VALUES (?, ?, ?, {$flag[1]}NULL, ?, ?)",
            [$queue, $payload, $attempts, $due, $now]);
        return $this->first() ? 1 : (int) $this->db()->lastInsertId();
    }

    public function push(mixed $job, mixed $data = '', ?string $queue = null)
    {
        return $this->later(0, $job, $data, $queue);
    }

    public function later(mixed $delay, mixed $job, mixed $data = '', ?string $queue = null)
    {
        return $this->insert($this->name($queue), $this->encode($this->payload($job, $data)), $delay, 0);
    }

    public function pushRaw(string $payload, ?string $queue = null)
    {
        return $this->insert($this->name($queue), $payload, 0, 0);
    }

    public function migrate(?string $queue, bool $reserved): void
    {
        if ($reserved && $this->first()) {
            $this->run('UPDATE {jobs} SET reserved = 0, {at} = NULL, attempts = attempts + 1 WHERE queue = ? AND reserved = 1 AND {at} <= ?',
                [$this->name($queue), $this->now() - $this->s['expire']]);
        }
    }

    public function pop(?string $queue = null): ?Job
    {
        $expired = $this->s['expire'] === null ? -1 : $this->now() - $this->s['expire'];
        $lock = str_starts_with($this->s['dsn'], 'sqlite') ? '' : ' FOR UPDATE';
        if ($expired >= 0) {
            $this->migrate($queue, true);
        }
        $late = $this->first() ? '0 = 1 AND 0 < ?' : '{at} <= ?';
        // SQLite refuses a transaction that begins to write late, at once.
        $this->db()->exec($lock === '' ? 'BEGIN IMMEDIATE' : 'START TRANSACTION');
        $row = $this->run("SELECT * FROM {jobs} WHERE queue = ? AND (({free} AND {due} <= ?) OR ($late)) ORDER BY id LIMIT 1$lock",
            [$this->name($queue), $this->now(), $expired])->fetch(PDO::FETCH_ASSOC);
        if ($row !== false) {
            $this->run('UPDATE {jobs} SET {mark} = ? WHERE id = ?', [$this->now(), $row['id']]);
        }
        $this->db()->exec('COMMIT');
        if ($row === false) {
            return null;
        }
        return new Job($this, $this->name($queue), $row['payload'], $row['payload'], (int) $row['attempts'] + 1, (string) $row['id']);
    }

    public function drop(Job $job): void
    {
        $this->run('DELETE FROM {jobs} WHERE id = ?', [(int) $job->id]);
    }

    public function again(Job $job, mixed $delay): void
    {
        $this->drop($job);
        $this->insert($job->queue, $job->body, $delay, $job->attempts());
    }
}
