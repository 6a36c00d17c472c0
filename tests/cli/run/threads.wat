;; FAIL(241): weir run %
;; FAIL(241): weir run --unknown-imports trap %

;; Threads are refused before anything is compiled.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1 2 shared)
  (func (export "_start") (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1))) (call $exit (i32.const 6))))
