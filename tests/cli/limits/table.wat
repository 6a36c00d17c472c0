;; FAIL(245): weir run %
;;
;; A table larger than the limit.
(module (table 20000000 funcref) (func (export "_start")))
