;; FAIL(241): weir run %
;;
;; The exports of a library that are named are its own, not those by which weir serves its calls.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_initialize"))
  (func (export "say") (result i32)
    (call $write (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 64))))
