;; RUN: weir call % 'my:x/two#f()'
;; RUN: weir call % ' my:x/one#f() '
;; RUN: weir call % 'g()'
;; FAIL(241): weir call % 'f()'
;; FAIL(241): weir call % 'h()'
;; FAIL(241): weir compile %
;; ENV: WEIR_CACHE_DIR=%t/cache
;;
;; Two interfaces with a function of the same name: it is named with its interface.
(component
  (core module $m
    (func (export "one") (result i32) (i32.const 1))
    (func (export "two") (result i32) (i32.const 2)))
  (core instance $i (instantiate $m))
  (func $one (result u32) (canon lift (core func $i "one")))
  (func $two (result u32) (canon lift (core func $i "two")))
  (instance $first (export "f" (func $one)))
  (instance $second (export "f" (func $two)) (export "g" (func $two)))
  (export "my:x/one" (instance $first))
  (export "my:x/two" (instance $second)))
