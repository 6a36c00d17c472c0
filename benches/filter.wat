;; The smallest filter that is worth a measurement: what it reads from stdin it writes to stdout, in pieces of 64 KiB.
;; It ends with 3 where reading failed and with 4 where writing did. `filter.lift.toml` makes a function of streams of it.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  ;; The one piece, at 0: where its bytes lie and how many there are, as reading and writing take it.
  (func $piece (param $address i32) (param $bytes i32)
    (i32.store (i32.const 0) (local.get $address))
    (i32.store (i32.const 4) (local.get $bytes)))
  ;; How many bytes a call has moved stands at 8.
  (func (export "_start") (local $address i32) (local $left i32)
    (loop $read_on
      (call $piece (i32.const 1024) (i32.const 65536))
      (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (call $exit (i32.const 3))))
      (local.set $address (i32.const 1024))
      (local.set $left (i32.load (i32.const 8)))
      (if (i32.eqz (local.get $left)) (then (return)))
      ;; A write may take less than it is given.
      (loop $write_on
        (call $piece (local.get $address) (local.get $left))
        (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then (call $exit (i32.const 4))))
        (local.set $address (i32.add (local.get $address) (i32.load (i32.const 8))))
        (br_if $write_on (local.tee $left (i32.sub (local.get $left) (i32.load (i32.const 8))))))
      (br $read_on))))
