<?php

namespace App\Support;

/** An object inside a job, with properties of every visibility. */
class Address
{
    public string $street;

    protected string $city;

    private ?string $code;

    public function __construct(string $street, string $city, ?string $code)
    {
        [$this->street, $this->city, $this->code] = [$street, $city, $code];
    }

    public function describe(): string
    {
        return static::class." street=$this->street city=$this->city code=".var_export($this->code, true);
    }
}
