;; FAIL(241): weir run %
;;
;; WASI's `fd_write` takes four parameters.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")))
