;; A module with every section.
(module $small
  (type $box (struct (field i32)))
  (rec (type $a (func (param (ref null $b)))) (type $b (array i8)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (table 4 funcref)
  (table 1 1 funcref (ref.func $exit))
  (memory (export "memory") 1)
  (tag $t (param i32))
  (global $g (mut i32) (i32.const 1))
  (global $f (export "f") funcref (ref.func $main))
  (start $init)
  (elem (i32.const 1) func $init $path_open)
  (elem $e funcref (ref.func $exit) (ref.null func))
  (data (i32.const 8) "/etc/passwd")
  (data $d "passive")
  (func $init global.get $g i32.eqz (if (then i32.const 1 call $exit)))
  (func $main (export "_start") (local i64 i64 f32)
    i32.const 3 i32.const 0 i32.const 8 i32.const 4 i32.const 0 i64.const 0 i64.const 0 i32.const 0 i32.const 64
    call $path_open
    (block (block (br_table 0 1 0 (i32.const 1))) (throw $t (i32.const 1)))
    drop
    (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))
    (try_table (catch_all 0) (call $init))
    ref.func $main drop)
  (@custom "producers" "\00"))
