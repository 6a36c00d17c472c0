;; RUN: weir lift tests/cli/lift/library.lift.toml -o %t/library.wasm
;; RUN: weir call %t/library.wasm 'next()'
;; RUN: weir call %t/library.wasm 'next()' --repeat 3
;; RUN: weir call %t/library.wasm 'variables()'
;; RUN: weir call %t/library.wasm 'create()'
;; FAIL(241): weir lift tests/cli/lift/library-files.lift.toml -o %t/library.wasm

;; A library with typed functions of its own, its types in the last section as wit-bindgen leaves them there. It keeps
;; what it keeps, has its variables and directories inside, and cannot end the process of whoever calls it.
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "tmp/new")
  (global $count (mut i32) (i32.const 0))
  (global $next (mut i32) (i32.const 1024))
  (func (export "_initialize") (global.set $count (i32.const 10)))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $next)
    (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 7)) (i32.const -8))))
  (func (export "next") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (global.get $count))
  (func (export "time") (result i64)
    (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 8)))
    (i64.load (i32.const 8)))
  (func (export "variables") (result i32)
    (drop (call $sizes (i32.const 16) (i32.const 20)))
    (i32.load (i32.const 16)))
  (func (export "create") (result i32)
    (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 7) (i32.const 9) (i64.const 0x64) (i64.const 0) (i32.const 0) (i32.const 24)))
  (func (export "leave") (call $exit (i32.const 0)))
  (@custom "component-type" (after data) "\00asm\0d\00\01\00\00\19\16wit-component-encoding\04\00\07[\01A\02\01A\08\01@\00\00y\04\00\04next\01\00\01@\00\00x\04\00\04time\01\01\04\00\09variables\01\00\04\00\06create\01\00\01@\00\01\00\04\00\05leave\01\02\04\00\0ctest:lib/lib\04\00\0b\09\01\00\03lib\03\00\00\00/\09producers\01\0cprocessed-by\01\0dwit-component\070.262.0"))
