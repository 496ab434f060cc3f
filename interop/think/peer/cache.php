<?php
// The application's cache, as far as the restart signal goes: in Redis, or in
// ThinkPHP's files, whose form differs by version (see ../../../think/testdata,
// restart). Settings: host, port, select, prefix of Redis; or path (a folder)
// and framework (ThinkPHP's version) of files.

declare(strict_types=1);

final class Cache
{
    private ?Redis $redis = null;

    public function __construct(private array $s)
    {
    }

    private function redis(): Redis
    {
        if ($this->redis === null) {
            $this->redis = new Redis();
            $this->redis->connect($this->s['host'], (int) $this->s['port']);
            $this->redis->select((int) ($this->s['select'] ?? 0));
        }
        return $this->redis;
    }

    private function file(string $key): string
    {
        $hash = md5($key);
        return $this->s['path'] . '/' . substr($hash, 0, 2) . '/' . substr($hash, 2) . '.php';
    }

    // before says whether ThinkPHP is older than a version.
    private function before(string $version): bool
    {
        return version_compare($this->s['framework'], $version, '<');
    }

    public function put(string $key, int $value): void
    {
        if (!isset($this->s['path'])) {
            $this->redis()->set($this->s['prefix'] . $key, (string) $value);
            return;
        }
        $text = $this->before('5.1') ? "i:$value;" : (string) $value;
        $lines = ['<?php', '//' . str_repeat('0', 12), ' exit();?>', $text];
        if ($this->before('5.0.11')) {
            $lines = ['<?php', '//' . str_repeat('0', 12) . $text, '?>'];
        }
        $file = $this->file($key);
        if (!is_dir(dirname($file))) {
            mkdir(dirname($file), 0755, true);
        }
        file_put_contents($file, implode("\n", $lines), $this->before('6') ? 0 : LOCK_EX);
    }

    // get returns the number as text, or null where there is none. What the
    // version couldn't read is an error, as it is there.
    public function get(string $key): ?string
    {
        if (!isset($this->s['path'])) {
            $v = $this->redis()->get($this->s['prefix'] . $key);
            return $v === false ? null : $v;
        }
        $file = $this->file($key);
        if (!is_file($file)) {
            return null;
        }
        $text = file_get_contents($file);
        $age = (int) substr($text, 8, 12);
        if ($age !== 0 && time() > filemtime($file) + $age) {
            return null;
        }
        $value = $this->before('5.0.11') ? substr($text, 20, -3) : substr($text, 32);
        if ($value === '') { // another process has just begun to write it
            return null;
        }
        return $this->before('5.1') || !is_numeric($value) ? (string) unserialize($value) : $value;
    }
}
