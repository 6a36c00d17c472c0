;; RUN: weir run --random seed:1 %
;; RUN: weir run --random seed:1 %
;; RUN: weir run --random seed:2 %
;; FAIL(240): weir run --random dice %
;;
;; Prints 12 random bytes as letters: the same for the same seed, on every machine.
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $at i32)
    (if (call $random_get (i32.const 32) (i32.const 12)) (then (unreachable)))
    (loop $next
      (i32.store8 offset=32 (local.get $at)
        (i32.add (i32.const 97) (i32.rem_u (i32.load8_u offset=32 (local.get $at)) (i32.const 26))))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 12))))
    (i32.store8 (i32.const 44) (i32.const 10))
    (i32.store (i32.const 0) (i32.const 32))
    (i32.store (i32.const 4) (i32.const 13))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
