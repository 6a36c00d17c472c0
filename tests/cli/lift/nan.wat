;; RUN: weir call % 'same(x: nan)'
;; RUN: weir call % 'same(-inf)'
;; RUN: weir call % 'same(1.5)'

;; Values are printed and read as WAVE has them: what is printed can be given back.
(component
  (core module $m (func (export "f") (param f64) (result f64) (local.get 0)))
  (core instance $i (instantiate $m))
  (func $f (param "x" f64) (result f64) (canon lift (core func $i "f")))
  (export "same" (func $f)))
