;; FAIL(243): weir run %
;; RUN: weir run --unknown-imports trap %
;; FAIL(243): weir run %
;; FAIL(240): weir run --unknown-imports ignore %

;; A host's callback that a run never calls. Refused by both names; or it traps only if it is called.
(module
  (import "embedder" "callback" (func $callback (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "ok\n")
  (func (export "never") (drop (call $callback (i32.const 1))))
  (func (export "_start")
    (i32.store (i32.const 100) (i32.const 8))
    (i32.store (i32.const 104) (i32.const 3))
    (drop (call $write (i32.const 1) (i32.const 100) (i32.const 1) (i32.const 200)))))
