;; Entries of every kind for a program that exits: start, results with and without a default, a handler of all.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (table 1 funcref) (elem (i32.const 0) $helper)
  (func $main (export "_start") i32.const 3 call $exit)
  (func $helper (export "helper") (param i64) (result i32 f64 v128 (ref null extern)) unreachable)
  (func $strict (export "strict") (result (ref extern)) ref.func $main drop unreachable)
  (func $swallow (block (try_table (catch_all 0) (call $main))))
  (start $main))
