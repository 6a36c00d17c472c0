;; RUN: weir lift tests/cli/lift/deep.lift.toml -o %t/deep.wasm
;; FAIL(244): weir call %t/deep.wasm 'go()'
;; FAIL(244): weir run %
;; NUMBERS: hidden

;; A program that recurses without end meets the end of its own stack, not of weir's, wherever it runs.
(module
  (memory (export "memory") 1)
  (func $down (param i64 i64 i64 i64) (result i64)
    (i64.add (local.get 0) (call $down (i64.add (local.get 0) (i64.const 1)) (local.get 2) (local.get 3) (local.get 1))))
  (func (export "_start") (drop (call $down (i64.const 0) (i64.const 1) (i64.const 2) (i64.const 3)))))
