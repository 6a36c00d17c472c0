;; RUN: weir run %
;; FAIL(1): weir run % 1
;; FAIL(101): weir run % 1 2
;; FAIL(255): weir run % 1 2 3
;; FAIL(1): weir run % 1 2 3 4
;;
;; The program's own code passes through, cut to eight bits as the operating system does, but never to 0 for a failure:
;; 0, 1, 101, 255 and 256, by the number of arguments.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "\00\00\00\00" "\01\00\00\00" "\65\00\00\00" "\ff\00\00\00" "\00\01\00\00")
  (func (export "_start")
    (drop (call $args_sizes_get (i32.const 0) (i32.const 4)))
    (call $proc_exit (i32.load (i32.add (i32.const 60) (i32.mul (i32.load (i32.const 0)) (i32.const 4)))))))
