;; RUN: weir pack % --entry one "two words" --env A=1 --env B=2 -o %t/pack.wasm
;; RUN: weir run --env B=host --env C=3 %t/pack.wasm three
;; RUN: weir run --env B=first --env B=last %t/pack.wasm
;; RUN: weir run %t/pack.wasm
;; RUN: weir pack % -o %t/dashes.wasm -- -x --long
;; RUN: weir run %t/dashes.wasm
;;
;; Entry arguments come before those of the host, variables behind the host's, which
;; take the place of the pack's own. Prints both, one on each line.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  ;; Prints every string that the array at $array points to, with a line feed at its end.
  (func $print (param $array i32) (param $count i32) (local $end i32)
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $count)))
      (local.set $end (i32.load (local.get $array)))
      (block $found (loop $search
        (br_if $found (i32.eqz (i32.load8_u (local.get $end))))
        (local.set $end (i32.add (local.get $end) (i32.const 1)))
        (br $search)))
      (i32.store8 (local.get $end) (i32.const 10))
      (i32.store (i32.const 16) (i32.load (local.get $array)))
      (i32.store (i32.const 20)
        (i32.add (i32.sub (local.get $end) (i32.load (local.get $array))) (i32.const 1)))
      (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))
      (local.set $array (i32.add (local.get $array) (i32.const 4)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br $next))))
  (func (export "_start")
    (drop (call $args_sizes_get (i32.const 0) (i32.const 4)))
    (drop (call $args_get (i32.const 64) (i32.const 1024)))
    (drop (call $environ_sizes_get (i32.const 8) (i32.const 12)))
    (drop (call $environ_get (i32.const 8192) (i32.const 16384)))
    (call $print (i32.const 64) (i32.load (i32.const 0)))
    (call $print (i32.const 8192) (i32.load (i32.const 8)))))
