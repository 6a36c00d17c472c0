;; FAIL(243): weir run %
;;
;; An import that nobody grants is named.
(module
  (import "env" "launch_missiles" (func (param i32)))
  (memory (export "memory") 1)
  (func (export "_start")))
