;; RUN: weir run --file /a=granted %
;;
;; A program that has two memories of its own, and keeps its second.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
  (memory $main (export "memory") 1)
  (memory $other 1)
  (data (memory $main) (i32.const 0) "\10\00\00\00\05\00\00\00")
  (data (memory $main) (i32.const 32) "a")
  (data (memory $other) (i32.const 0) "kept\n")
  (func (export "_start")
    (if (call $stat (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 1) (i32.const 64)) (then (unreachable)))
    (memory.copy $main $other (i32.const 16) (i32.const 0) (i32.const 5))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
