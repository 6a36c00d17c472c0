;; A program that opens files, and has data that is long enough to be found again.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "some data that is long enough to be found again in the pack, without being kept twice")
  (func $work (result i32) (call $read (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4)))
  (func (export "_start") (drop (call $work)) (drop (call $args (i32.const 0) (i32.const 0)))
    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)
      (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 8)))))
