;; FAIL(241): weir run %
;; RUN: weir inspect %
;; FAIL(241): weir pack % -o %t/pack.wasm
;;
;; What is wrong is told with the name in it, on one line.
(module
  (func)
  (export "_start" (func 0))
  (export "a\0aweir: all is well\1b[2J" (func 0))
  (export "a\0aweir: all is well\1b[2J" (func 0)))
