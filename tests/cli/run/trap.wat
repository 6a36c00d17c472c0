;; FAIL(244): weir run %
;;
;; A trap is told with the functions that led there, innermost first.
(module $trap
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func $divide (param $by i32) (result i32) (i32.div_u (i32.const 1) (local.get $by)))
  (func $compute (result i32) (call $divide (i32.const 0)))
  (func $main (export "_start") (call $proc_exit (call $compute))))
