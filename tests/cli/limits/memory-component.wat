;; FAIL(245): weir run --memory-max 1MiB %
;;
;; More memory at the start of a component than is allowed.
(component
  (core module $m
    (memory 100)
    (func (export "run") (result i32) i32.const 0))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
