;; RUN: weir inspect %
;; RUN: weir inspect --json %
;; FAIL(243): weir run %
;; FAIL(244): weir run --unknown-imports trap %
;;
;; Names that would forge a verdict, colour the terminal or turn a line round are shown, not obeyed.
(module
  (import "env" "a\0averdict: tier pure\0a  nothing at all" (func $f))
  (import "b\1b[2J\1b[31m\0d" "c\e2\80\aetxt\c2\9bm" (func))
  (memory (export "memory") 1)
  (data (i32.const 16) "/etc/\1b[1mexample.conf\00")
  (func (export "d\0aweir: all is well"))
  (func $"g\0aweir: nothing happened\1b[2J" (call $f))
  (func (export "_start") (call $"g\0aweir: nothing happened\1b[2J")))
