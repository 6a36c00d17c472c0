;; RUN: weir run --file /a=0123456789 %
;;
;; A program from before WASI 0.1 had its name: `wasi_unstable`, whose `fd_seek` numbers `whence` in another order.
(module
  (import "wasi_unstable" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\40\00\00\00\10\00\00\00")
  (data (i32.const 32) "a")
  (func (export "_start")
    (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 1) (i32.const 0)
          (i64.const -1) (i64.const 0) (i32.const 0) (i32.const 16)) (then (unreachable)))
    ;; There 0 is "from the current position", 1 "from the end" and 2 "from the start".
    (if (call $fd_seek (i32.load (i32.const 16)) (i64.const -4) (i32.const 1) (i32.const 24)) (then (unreachable)))
    (if (call $fd_read (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 20)) (then (unreachable)))
    (i32.store (i32.const 4) (i32.load (i32.const 20)))
    (i32.store8 (i32.add (i32.const 64) (i32.load (i32.const 20))) (i32.const 10))
    (i32.store (i32.const 4) (i32.add (i32.load (i32.const 4)) (i32.const 1)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))))
