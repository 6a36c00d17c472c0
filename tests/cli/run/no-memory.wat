;; RUN: weir run %
;;
;; A program that needs nothing, not even memory.
(module (func (export "_start")))
