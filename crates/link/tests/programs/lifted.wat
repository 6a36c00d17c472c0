;; A program that asks for time, randomness and its arguments, and exits.
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $helper (export "helper"))
  (func (export "_start")
    (drop (call $time (i32.const 0) (i64.const 0) (i32.const 0)))
    (drop (call $random (i32.const 0) (i32.const 8)))
    (drop (call $args (i32.const 0) (i32.const 0)))
    (drop (ref.func $helper))
    (call $exit (i32.const 0))))
