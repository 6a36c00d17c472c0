;; FAIL(241): weir run %
;;
;; A name that looks like WASI but is none.
(module
  (import "wasi_snapshot_preview1" "fd_teleport" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")))
