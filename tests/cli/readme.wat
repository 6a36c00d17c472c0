;; RUN: weir run % "two words" three
;; FAIL(7): weir run %
;;
;; This is a test of the command line, and the manual of how to write one.
;;
;; An input is a `.wat` file, or a `.txt` file where no program is needed. Its head, the lines that begin with `;;`,
;; says what to run. Commands run in the root of the checkout, with nothing inherited from the environment.
;;
;;   RUN: weir ...        a command that must end with code 0
;;   FAIL(CODE): weir ... a command that must end with this code
;;   FILE: NAME TEXT      a file in a temporary folder; TEXT knows \n \t \\ and \xNN
;;   DIR: NAME            a folder there
;;   LINK: NAME TARGET    a symbolic link there
;;   STDIN: TEXT          what the commands below read
;;   ENV: NAME=VALUE      a variable of weir's own environment
;;   SHOW: NAME           prints a file of the temporary folder after the commands above
;;   NUMBERS: hidden      numbers are not compared
;;   NEEDS: PATH          skipped, visibly, where this file of the checkout is missing
;;
;; In commands, `%` is this file and `%t` the temporary folder; quotes are those of a shell. What the commands print
;; must be what lies beside the input in `NAME.stdout` and `NAME.stderr`; no file means: nothing. With several commands
;; the output of each stands below a line `-- COMMAND`. Addresses of code (0x...) are never compared.
;;
;;   cargo xtask bless [FILTER]      writes the outputs down; look at the diff before you keep it
;;
;; This program prints its arguments, one on each line, and ends with code 7 if there is only one: its name.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $at i32) (local $end i32)
    (drop (call $args_sizes_get (i32.const 0) (i32.const 4)))
    (drop (call $args_get (i32.const 64) (i32.const 1024)))
    ;; Each argument ends with a zero byte: make it a line feed, and print all with one call.
    (local.set $at (i32.const 1024))
    (local.set $end (i32.add (i32.const 1024) (i32.load (i32.const 4))))
    (loop $next
      (if (i32.eqz (i32.load8_u (local.get $at))) (then (i32.store8 (local.get $at) (i32.const 10))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
    (i32.store (i32.const 16) (i32.const 1024))
    (i32.store (i32.const 20) (i32.load (i32.const 4)))
    (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))
    (if (i32.eq (i32.load (i32.const 0)) (i32.const 1)) (then (call $proc_exit (i32.const 7))))))
