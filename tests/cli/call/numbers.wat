;; RUN: weir call % 'add(2, -3)'
;; RUN: weir call % 'add(0xffffffff, 4294967295)'
;; RUN: weir call % ' wide( 18446744073709551615 ) '
;; RUN: weir call % 'half(3)'
;; RUN: weir call % 'half(-inf)'
;; RUN: weir call % 'single(0.1)'
;; RUN: weir call % 'both(7)'
;; RUN: weir call % nothing
;; RUN: weir call % 'Math.Max(Int32)(5)'
;; RUN: weir call --repeat 3 % 'count()'
;; RUN: weir call % ' add ( 1 , 2 ) '
;; RUN: weir call % 'both(9)' -o %t/out/
;; SHOW: out/0
;; SHOW: out/1
;; FAIL(241): weir call % 'add(1, 2'
;; FAIL(242): weir call % 'add(1)'
;; FAIL(242): weir call % 'add(1, 4294967296)'
;; FAIL(242): weir call % 'half(x)'
;; FAIL(241): weir call % 'sub(1, 2)'
;; FAIL(241): weir call % 'take(1)'
;; FAIL(241): weir call % 'memory()'
;; FAIL(241): weir call % 'weir_boot()'
;; FAIL(244): weir call % 'deep(1)'
;; FAIL(244): weir call % 'divide(1)'
;; FAIL(245): weir call --fuel-max 10000 % 'forever()'
;; FAIL(3): weir call % 'leave(3)'
;;
;; Functions of a core module take and give numbers. It is set up by its `_initialize` first, each time anew.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (global $counter (mut i32) (i32.const 0))
  (func (export "_initialize") (global.set $counter (i32.const 41)))
  (func (export "count") (result i32)
    (global.set $counter (i32.add (global.get $counter) (i32.const 1)))
    (global.get $counter))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "wide") (param i64) (result i64) (local.get 0))
  (func (export "half") (param f64) (result f64) (f64.div (local.get 0) (f64.const 2)))
  (func (export "single") (param f32) (result f32) (local.get 0))
  (func (export "both") (param i32) (result i32 i64) (local.get 0) (i64.extend_i32_s (local.get 0)))
  (func (export "nothing"))
  (func (export "Math.Max(Int32)") (param i32) (result i32) (local.get 0))
  (func (export "take") (param externref))
  (func $deep (export "deep") (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))
  (func (export "divide") (param i32) (result i32) (i32.div_s (local.get 0) (i32.const 0)))
  (func (export "forever") (loop $l (br $l)))
  (func (export "leave") (param i32) (call $proc_exit (local.get 0))))
