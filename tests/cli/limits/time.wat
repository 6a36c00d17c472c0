;; FAIL(245): weir run --time-max 200ms %
;;
;; A loop without end meets the clock.
(module (func (export "_start") (loop $forever (br $forever))))
