;; RUN: weir run %
;; FAIL(3): weir run --memory-max 16MiB %
;;
;; A program that asks for more than the limit is told that there is none, and decides itself: this one ends with 3.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (if (i32.eq (memory.grow (i32.const 1024)) (i32.const -1)) (then (call $proc_exit (i32.const 3))))))
