;; FAIL(245): weir run --memory-max 64KiB %
;;
;; More memory at the start than is allowed.
(module (memory (export "memory") 1000) (func (export "_start")))
