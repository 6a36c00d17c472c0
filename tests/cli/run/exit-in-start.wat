;; FAIL(5): weir run %
;; FAIL(5): weir trace -o %t/trace %

;; A program may exit while its start function runs.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $early (call $exit (i32.const 5)))
  (start $early)
  (func (export "_start")))
