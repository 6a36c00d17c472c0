;; FAIL(241): weir run %
;;
;; Text that is a module, but no valid one.
(module (func (export "_start") (i32.add (i32.const 1))))
