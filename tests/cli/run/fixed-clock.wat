;; RUN: weir run --clock fixed:2001-09-09T01:46:40Z %
;; RUN: weir run --clock fixed:1970-01-01T00:00:00.5Z %
;; FAIL(240): weir run --clock fixed:yesterday %
;;
;; Prints the time in nanoseconds.
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $at i32) (local $rest i64)
    (if (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 0)) (then (unreachable)))
    (local.set $rest (i64.load (i32.const 0)))
    (local.set $at (i32.const 100))
    (i32.store8 (i32.const 100) (i32.const 10))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $rest) (i64.const 10)))))
      (local.set $rest (i64.div_u (local.get $rest) (i64.const 10)))
      (br_if $digit (i64.ne (local.get $rest) (i64.const 0))))
    (i32.store (i32.const 16) (local.get $at))
    (i32.store (i32.const 20) (i32.sub (i32.const 101) (local.get $at)))
    (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))))
