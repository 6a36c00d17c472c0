;; RUN: weir call % 'say()'
;;
;; What a function prints comes before its result.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "hello\n")
  (func (export "_initialize") (i32.store (i32.const 0) (i32.const 8)) (i32.store (i32.const 4) (i32.const 6)))
  (func (export "say") (result i32)
    (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64))))
