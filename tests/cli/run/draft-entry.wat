;; FAIL(241): weir run %

;; A draft of WASI is not taken for a release: its meaning has changed since.
(component
  (core module $program (func (export "run") (result i32) (i32.const 0)))
  (core instance $i (instantiate $program))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.3.0-rc-2025-09-16" (instance $cli)))
