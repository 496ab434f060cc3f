<?php

use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Schema;

return new class extends Migration
{
    public function up()
    {
        Schema::create('customers', function (Blueprint $table) {
            $table->id();
            $table->string('name');
        });
        DB::table('customers')->insert([['name' => '客户 1'], ['name' => '客户 2']]);
    }

    public function down()
    {
        Schema::drop('customers');
    }
};
