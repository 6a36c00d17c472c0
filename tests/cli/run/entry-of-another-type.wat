;; FAIL(241): weir run %

;; The entry has the right name and takes what no command takes.
(component
  (core module $program (func (export "run") (param i32) (result i32) (i32.const 0)))
  (core instance $i (instantiate $program))
  (func $run (param "x" u32) (result u32) (canon lift (core func $i "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $cli)))
