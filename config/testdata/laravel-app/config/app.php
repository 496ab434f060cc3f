<?php
return ['name' => env('APP_NAME', 'Laravel'), 'env' => env('APP_ENV', 'production'), 'key' => env('APP_KEY'), 'cipher' => 'AES-256-CBC', 'timezone' => 'Asia/Shanghai', 'providers' => [], 'aliases' => []];
