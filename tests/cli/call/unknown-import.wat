;; RUN: weir call --unknown-imports trap % 'add(1, 2)'
;; FAIL(244): weir call --unknown-imports trap % 'stop()'
;; FAIL(243): weir call % 'add(1, 2)'
;; FAIL(243): weir run %
;;
;; What AssemblyScript makes imports a function of its embedder that most calls never need.
(module
  (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "stop") (call $abort (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 2)))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
