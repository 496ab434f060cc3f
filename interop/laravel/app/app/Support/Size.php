<?php

namespace App\Support;

enum Size
{
    case Small;
    case Large;
}
