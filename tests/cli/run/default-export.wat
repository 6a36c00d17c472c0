;; FAIL(7): weir run %

;; Toolchains that keep a module between calls (ITK-Wasm) export `_initialize` and the main function under the empty name:
;; both are called, in this order.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (global $ready (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $ready (i32.const 7)))
  (func (export "") (call $exit (global.get $ready))))
