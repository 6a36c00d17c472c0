;; A command for WASI 0.3 whose start waits by itself and gives its result by a call.
(module
  (import "[export]wasi:cli/run@0.3.0" "[task-return]run" (func $return (param i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func (export "_initialize"))
  (func (export "[async-lift-stackful]wasi:cli/run@0.3.0#run")
    (call $return (i32.const 0))))
