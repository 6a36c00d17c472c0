;; FAIL(243): weir run %

;; A function that an interface of WASI does not have is named.
(component
  (import "wasi:cli/stdout@0.2.0" (instance $own (export "teleport" (func (param "x" u32)))))
  (core module $program (func (export "run") (result i32) (i32.const 0)))
  (core instance $i (instantiate $program))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
