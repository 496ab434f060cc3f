<?php
// Reads payloads, one line each, as a worker of Laravel reads class jobs, and
// answers with one line of JSON each: the class and all properties that the
// object has, by name. With an argument, the key, it uses the real Encrypter
// of Debian's php-laravel-framework, and answers with an encrypted payload
// of its own instead.
namespace App\Jobs {
    class Simple
    {
        public $id;
        protected $name = 'default';
        private $secret = 'kept';
        public $n = 5;
        public $connection;
        public $queue;
        public $delay;
        public $chained = [];
        public $chainQueue;
        public $at;
        public $user;

        public function all(): array
        {
            return get_object_vars($this);
        }
    }
}

namespace Illuminate\Contracts\Database {
    class ModelIdentifier
    {
        public $class;
        public $id;
        public $relations;
        public $connection;
        public $collectionClass;
    }
}

namespace Illuminate\Support {
    class Carbon extends \DateTime
    {
    }
}

namespace {
    use App\Jobs\Simple;

    $encrypter = null;
    if (isset($argv[1])) {
        $autoload = '/usr/share/php/Illuminate/Encryption/autoload.php';
        if (! is_file($autoload)) {
            echo "no encrypter\n";
            exit;
        }
        require $autoload;
        $key = base64_decode(substr($argv[1], 7));
        $encrypter = new Illuminate\Encryption\Encrypter($key, $argv[2]);
    }
    while (($line = fgets(STDIN)) !== false) {
        $data = json_decode($line, true, 512, JSON_THROW_ON_ERROR)['data'];
        $command = $data['command'];
        if ($encrypter) {
            $command = $encrypter->decrypt($command);
        }
        $job = unserialize($command);
        if (! $job instanceof Simple) {
            echo "not a job\n";
            continue;
        }
        if ($encrypter) {
            $data['command'] = $encrypter->encrypt(serialize($job));
            echo json_encode(['job' => 'Illuminate\Queue\CallQueuedHandler@call', 'data' => $data], JSON_UNESCAPED_UNICODE), "\n";
            continue;
        }
        $props = $job->all();
        foreach ($props['chained'] as $i => $link) {
            $props['chained'][$i] = unserialize($link)->all();
        }
        if ($props['at']) {
            $props['at'] = get_class($props['at']).' '.$props['at']->format(DATE_RFC3339_EXTENDED);
        }
        if ($props['user']) {
            $props['user'] = get_class($props['user']).' '.json_encode($props['user']);
        }
        echo json_encode([get_class($job) => $props]), "\n";
    }
}
