;; FAIL(244): weir run %
;; FAIL(244): weir run % 1
;; FAIL(244): weir run % 1 2
;; FAIL(244): weir run % 1 2 3
;;
;; Four ways to fall: memory out of bounds, an empty table slot, `unreachable`, a stack that never ends.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (table 1 funcref)
  (func $memory (drop (i32.load (i32.const 0x7fffffff))))
  (func $table (call_indirect (i32.const 0)))
  (func $dead unreachable)
  (func $deep (call $deep) (call $deep))
  (func (export "_start")
    (drop (call $args_sizes_get (i32.const 0) (i32.const 4)))
    (block $four (block $three (block $two (block $one
      (br_table $one $one $two $three $four (i32.load (i32.const 0))))
      (call $memory)) (call $table)) (call $dead)) (call $deep)))
