;; Reads a mounted file and writes a result: lines, words and bytes, as `wc` counts them.
;;
;;   weir run --mount /in.txt=README.md --save /out.txt=counts.txt examples/wordcount.wat
;;
;; The program opens `/in.txt` and creates `/out.txt` as any program does. Neither is a file of the machine: the first is
;; data that was handed over, the second stays in memory until `--save` copies it out.
(module $wordcount
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))

  ;; 0: a result; 8: address and length of a buffer; 64: names and words; 512: the line of text; 4096: what was read.
  (memory (export "memory") 2)
  (data (i32.const 64) "in.txt" "out.txt" " lines " " words " " bytes\n" "wordcount: cannot read /in.txt: mount a file there\n")
  (global $end (mut i32) (i32.const 512))

  ;; Opens a file below the first directory that the program was given, and gives its descriptor.
  (func $open (param $name i32) (param $length i32) (param $flags i32) (param $rights i64) (result i32)
    (if (call $path_open (i32.const 3) (i32.const 1) (local.get $name) (local.get $length)
          (local.get $flags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 0))
      (then
        (call $write (i32.const 2) (i32.const 98) (i32.const 51))
        (call $proc_exit (i32.const 1))))
    (i32.load (i32.const 0)))

  (func $write (param $file i32) (param $text i32) (param $length i32)
    (i32.store (i32.const 8) (local.get $text))
    (i32.store (i32.const 12) (local.get $length))
    (drop (call $fd_write (local.get $file) (i32.const 8) (i32.const 1) (i32.const 0))))

  (func $append (param $text i32) (param $length i32)
    (memory.copy (global.get $end) (local.get $text) (local.get $length))
    (global.set $end (i32.add (global.get $end) (local.get $length))))

  ;; Digits of the tens come first: the number without its last digit, then that digit.
  (func $append_number (param $number i32)
    (if (i32.ge_u (local.get $number) (i32.const 10))
      (then (call $append_number (i32.div_u (local.get $number) (i32.const 10)))))
    (i32.store8 (global.get $end) (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
    (global.set $end (i32.add (global.get $end) (i32.const 1))))

  (func $main (export "_start")
    (local $in i32) (local $out i32) (local $at i32) (local $read i32) (local $byte i32) (local $blank i32) (local $before i32)
    (local $lines i32) (local $words i32) (local $bytes i32)
    (local.set $in (call $open (i32.const 64) (i32.const 6) (i32.const 0) (i64.const 2)))
    (local.set $before (i32.const 1))
    (block $done
      (loop $chunk
        (i32.store (i32.const 8) (i32.const 4096))
        (i32.store (i32.const 12) (i32.const 65536))
        (br_if $done (call $fd_read (local.get $in) (i32.const 8) (i32.const 1) (i32.const 0)))
        (br_if $done (i32.eqz (local.tee $read (i32.load (i32.const 0)))))
        (local.set $bytes (i32.add (local.get $bytes) (local.get $read)))
        (local.set $at (i32.const 0))
        (loop $next
          (local.set $byte (i32.load8_u offset=4096 (local.get $at)))
          (local.set $lines (i32.add (local.get $lines) (i32.eq (local.get $byte) (i32.const 10))))
          ;; A word begins where a blank, a tab or a line end is followed by something else.
          (local.set $blank (i32.or (i32.eq (local.get $byte) (i32.const 32))
            (i32.lt_u (i32.sub (local.get $byte) (i32.const 9)) (i32.const 5))))
          (local.set $words (i32.add (local.get $words) (i32.gt_u (local.get $before) (local.get $blank))))
          (local.set $before (local.get $blank))
          (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (local.get $read))))
        (br $chunk)))
    (drop (call $fd_close (local.get $in)))

    (call $append_number (local.get $lines)) (call $append (i32.const 77) (i32.const 7))
    (call $append_number (local.get $words)) (call $append (i32.const 84) (i32.const 7))
    (call $append_number (local.get $bytes)) (call $append (i32.const 91) (i32.const 7))
    (local.set $out (call $open (i32.const 70) (i32.const 7) (i32.const 9) (i64.const 64)))
    (call $write (local.get $out) (i32.const 512) (i32.sub (global.get $end) (i32.const 512)))
    (call $write (i32.const 1) (i32.const 512) (i32.sub (global.get $end) (i32.const 512)))
    (drop (call $fd_close (local.get $out)))))
