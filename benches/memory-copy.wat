;; What a copy of 4 KiB inside a guest costs, as the engine does it (`memory.copy`): the measure for reads. Prints
;; `memory.copy NANOSECONDS`, the mean over a million copies that walk through 64 KiB, as a program's reads do, and
;; `memory.copy_behind NANOSECONDS`, the same with the target 16 bytes further in its page than the source, which is
;; where some C libraries are slow.
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (data (i32.const 32) "memory.copy ")
  (data (i32.const 48) "memory.copy_behind ")
  (func $now (result i64)
    (if (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 0)) (then (unreachable)))
    (i64.load (i32.const 0)))
  (func $print (param $at i32) (param $length i32)
    (i32.store (i32.const 16) (local.get $at))
    (i32.store (i32.const 20) (local.get $length))
    (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))
  (func (export "_start")
    (call $measure (i32.const 0x10000) (i32.const 32) (i32.const 12))
    (call $measure (i32.const 0x10010) (i32.const 48) (i32.const 19)))
  (func $measure (param $target i32) (param $label i32) (param $label_length i32)
    (local $begin i64) (local $spent i64) (local $count i32) (local $at i32)
    (local.set $begin (call $now))
    (loop $next
      (memory.copy (local.get $target)
        (i32.add (i32.const 0x20000) (i32.shl (i32.and (local.get $count) (i32.const 15)) (i32.const 12)))
        (i32.const 4096))
      (br_if $next (i32.lt_u (local.tee $count (i32.add (local.get $count) (i32.const 1))) (i32.const 1000000))))
    ;; Nanoseconds for a million, in hundredths of a nanosecond for one, printed with two decimals from the right.
    (local.set $spent (i64.div_u (i64.sub (call $now) (local.get $begin)) (i64.const 10000)))
    (local.set $at (i32.const 128))
    (i32.store8 (i32.const 128) (i32.const 10))
    (local.set $count (i32.const 0))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (if (i32.eq (local.get $count) (i32.const 2))
        (then (i32.store8 (local.get $at) (i32.const 46)))
        (else
          (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $spent) (i64.const 10)))))
          (local.set $spent (i64.div_u (local.get $spent) (i64.const 10)))))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $digit (i32.or (i64.ne (local.get $spent) (i64.const 0)) (i32.lt_u (local.get $count) (i32.const 4)))))
    (call $print (local.get $label) (local.get $label_length))
    (call $print (local.get $at) (i32.sub (i32.const 129) (local.get $at)))))
