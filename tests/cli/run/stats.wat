;; NUMBERS: hidden
;; ENV: WEIR_CACHE_DIR=%t/cache
;; RUN: weir run --stats --fuel-max 1000000 %
;; RUN: weir run --stats --file /greeting=hello %
;; RUN: weir run --stats --file /greeting=hello %
;;
;; What a run cost, on stderr. The first command does not find the file, the third finds compiled code.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\05\00\00\00")
  (data (i32.const 16) "done\n" "greeting")
  (func (export "_start")
    (drop (call $stat (i32.const 3) (i32.const 0) (i32.const 21) (i32.const 8) (i32.const 64)))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
