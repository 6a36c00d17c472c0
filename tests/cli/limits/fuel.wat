;; FAIL(245): weir run --fuel-max 1000000 %
;;
;; A loop without end runs out of fuel, at the same point on every machine.
(module (func (export "_start") (loop $forever (br $forever))))
