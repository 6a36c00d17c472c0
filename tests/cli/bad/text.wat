;; FAIL(241): weir run %
;;
;; Text that is no module: the place is shown.
(module
  (func (export "_start")
    (call $nobody)))
