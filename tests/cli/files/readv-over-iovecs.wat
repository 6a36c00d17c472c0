;; FILE: in zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz
;; FAIL(32): weir run --mount /d/in=%t/in %
;;
;; The first of two buffers lies over their list: what is read ends with it, short, and nothing is written where the bytes of
;; the file happen to point. The exit code is what one call reads.
(module
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "d/in")
  (data (i32.const 64) "\40\00\00\00\20\00\00\00" "\00\01\00\00\20\00\00\00")
  (func (export "_start")
    (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 0) (i64.const 2) (i64.const 0)
          (i32.const 0) (i32.const 16))
      (then (call $exit (i32.const 100))))
    (if (call $read (i32.load (i32.const 16)) (i32.const 64) (i32.const 2) (i32.const 20))
      (then (call $exit (i32.const 101))))
    (call $exit (i32.load (i32.const 20)))))
