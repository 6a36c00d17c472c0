;; RUN: weir run %
;; RUN: weir inspect %

;; What current toolchains make for WASI 0.3 exports `wasi:cli/run` of 0.2 and of 0.3. The highest released version is
;; the program; here the 0.2 one fails.
(component
  (core module $program
    (func (export "old") (result i32) (i32.const 1))
    (func (export "new") (result i32) (i32.const 0)))
  (core instance $i (instantiate $program))
  (func $old (result (result)) (canon lift (core func $i "old")))
  (instance $cli2 (export "run" (func $old)))
  (type $run (func async (result (result))))
  (func $new (type $run) (canon lift (core func $i "new")))
  (instance $cli3 (export "run" (func $new)))
  (export "wasi:cli/run@0.2.6" (instance $cli2))
  (export "wasi:cli/run@0.3.0" (instance $cli3)))
