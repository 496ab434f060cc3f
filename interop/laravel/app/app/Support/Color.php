<?php

namespace App\Support;

enum Color: string
{
    case Red = 'r';
    case Green = 'g';
}
