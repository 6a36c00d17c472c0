;; FAIL(245): weir run --time-max 300ms %
;; RUN: weir run --clock fixed:2026-01-01T00:00:00Z %
;;
;; Sleeps for an hour: the limit wakes it, and under a fixed clock no time passes outside.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 3600000000000))
    (if (call $poll_oneoff (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)) (then (unreachable)))))
