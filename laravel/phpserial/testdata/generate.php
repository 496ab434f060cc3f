<?php
// Writes base64 lines: serialize() of random values of every kind that a job
// may hold, back-references included. Argument: how many.
enum Suit: string
{
    case Hearts = 'H';
    case Spades = 'S';
}

class Base
{
    private $own = 'parent';
    protected $kept = 1.5;
}

#[AllowDynamicProperties]
class Job extends Base
{
    public $a;
    protected $b;
    private $own;
    public ?Suit $suit = null;

    public function __construct($a, $b, $own)
    {
        $this->a = $a;
        $this->b = $b;
        $this->own = $own;
    }
}

class Arrayed
{
    public function __construct(public array $data)
    {
    }

    public function __serialize(): array
    {
        return $this->data;
    }

    public function __unserialize(array $data): void
    {
        $this->data = $data;
    }
}

ini_set('serialize_precision', '-1');
mt_srand(20261);
$pool = [];

function value(int $depth)
{
    global $pool;
    switch (mt_rand(0, $depth > 0 ? 15 : 8)) {
        case 0: return null;
        case 1: return (bool) mt_rand(0, 1);
        case 2: return mt_rand() - (1 << 30);
        case 3: return [PHP_INT_MAX, PHP_INT_MIN, 0, -1][mt_rand(0, 3)];
        case 4: return [INF, -INF, NAN, -0.0, 0.1, 1e100, 1e17, 1e16, 1e-4, 1e-5, 5e-324, 123456789012345678.0][mt_rand(0, 11)];
        case 5: return mt_rand() / (mt_rand() + 1) * (10 ** mt_rand(-30, 30));
        case 6: return random_bytes(mt_rand(1, 20));
        case 7: return ['', 'é', '中文 🎧', "\0*\0x", ';R:1;', 's:3:"x";}'][mt_rand(0, 5)];
        case 8: return Suit::cases()[mt_rand(0, 1)];
        case 9: case 10:
            $list = [];
            for ($n = mt_rand(0, 5); $n > 0; $n--) {
                $list[] = value($depth - 1);
            }
            return $list;
        case 11:
            $map = [];
            for ($n = mt_rand(0, 5); $n > 0; $n--) {
                $map[[mt_rand(-5, 99), 'k'.mt_rand(0, 9), '07', ''][mt_rand(0, 3)]] = value($depth - 1);
            }
            return $map;
        case 12: return $pool[] = new Job(value($depth - 1), value($depth - 1), value($depth - 1));
        case 13: return $pool[] = new Arrayed([value($depth - 1), 'n' => value($depth - 1), "\0*\0p" => 1]);
        case 14: return $pool ? $pool[array_rand($pool)] : new stdClass;
        case 15:
            $shared = value($depth - 1);
            $pair = [1 => &$shared, 'b' => value($depth - 1)];
            $pair['c'] = &$shared;
            if (mt_rand(0, 3) === 0) {
                $pair['self'] = &$pair;
            }
            return $pair;
    }
}

for ($i = (int) $argv[1]; $i > 0; $i--) {
    $pool = [];
    $v = value(4);
    if ($v instanceof Job && mt_rand(0, 1)) {
        $v->self = $v;
        $v->again = &$v->self;
    }
    echo base64_encode(serialize($v)), "\n";
}
