<?php

namespace App\Jobs;

use Illuminate\Contracts\Queue\ShouldBeEncrypted;

/** A link of a chain that is stored encrypted. */
class SecretStep extends Step implements ShouldBeEncrypted
{
}
