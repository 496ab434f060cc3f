<?php
// Reads one base64 line after the other, unserializes it without building
// classes other than the enum, and answers with serialize() of the result.
enum Suit: string
{
    case Hearts = 'H';
    case Spades = 'S';
}

ini_set('serialize_precision', '-1');
while (($line = fgets(STDIN)) !== false) {
    $bytes = base64_decode(trim($line), true);
    $value = @unserialize($bytes);
    if ($value === false && $bytes !== 'b:0;') {
        echo "!\n";
        continue;
    }
    echo base64_encode(serialize($value)), "\n";
}
