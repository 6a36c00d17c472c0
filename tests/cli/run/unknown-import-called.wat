;; FAIL(244): weir run --unknown-imports trap %

(module
  (import "embedder" "callback" (func $callback (param i32) (result i32)))
  (func (export "_start") (drop (call $callback (i32.const 1)))))
