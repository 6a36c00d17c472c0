;; RUN: weir run %

;; An interface of types alone needs nobody to grant it.
(component
  (import "embedder:own/types" (instance $own (type $t (record (field "x" u32))) (export "point" (type (eq $t)))))
  (core module $program (func (export "run") (result i32) (i32.const 0)))
  (core instance $i (instantiate $program))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
