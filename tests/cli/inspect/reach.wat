;; RUN: weir inspect %
;;
;; Of three imports one is called, one stands in a table, and one is only called by dead code.
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "/etc/example.conf\00plain words\00")
  (table funcref (elem $random))
  (func $dead (drop (call $unlink (i32.const 3) (i32.const 0) (i32.const 1))))
  (func (export "_start")
    (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 0)))
    (drop (call_indirect (param i32 i32) (result i32) (i32.const 0) (i32.const 8) (i32.const 0)))))
