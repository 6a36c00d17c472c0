;; RUN: weir lift tests/cli/lift/start-stays.lift.toml -o %t/stays.wasm
;; RUN: weir lift tests/cli/lift/start-leaves.lift.toml -o %t/leaves.wasm
;; RUN: weir call %t/stays.wasm 'go()'
;; RUN: weir call --repeat 3 %t/stays.wasm 'go()'
;; FAIL(1): weir call %t/leaves.wasm 'go()'
;; FAIL(1): weir call --repeat 3 %t/leaves.wasm 'go()'
;; FAIL(5): weir run % away
;; RUN: weir run %
;; NUMBERS: hidden

;; A call begins with the start function of the module, then `_initialize`, then the entry: each finds the arguments of the
;; call and may end it. Here the first ends it with 5 if there is an argument.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 100) "start init main\n")
  (start $early)
  (func $say (param $at i32) (param $len i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $len))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $early
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (if (i32.gt_u (i32.load (i32.const 0)) (i32.const 1)) (then (call $exit (i32.const 5))))
    (call $say (i32.const 100) (i32.const 6)))
  (func (export "_initialize") (call $say (i32.const 106) (i32.const 5)))
  (func (export "") (call $say (i32.const 111) (i32.const 5))))
