;; RUN: weir run --scratch /w --inodes-max 1000 %
;;
;; A fork bomb of files: creates until it is refused (error 51, no space), and goes on to end well.
(module
  (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $count i32) (local $error i32)
    (block $refused (loop $next
      ;; The name is the count, in letters.
      (i32.store (i32.const 16) (i32.or (i32.const 0x40404040)
        (i32.or (i32.and (local.get $count) (i32.const 15)) (i32.or
          (i32.shl (i32.and (local.get $count) (i32.const 0xf0)) (i32.const 4))
          (i32.shl (i32.and (local.get $count) (i32.const 0xf00)) (i32.const 8))))))
      (br_if $refused (local.tee $error (call $path_open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 3)
        (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 0))))
      (drop (call $fd_close (i32.load (i32.const 0))))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $count) (i32.const 4096)))))
    (call $proc_exit (i32.ne (local.get $error) (i32.const 51)))))
