;; Reads CANARY, a path below the first preopened directory, copies it to /copy.txt, and fails if a host
;; path can be opened: with SECRET as it is, and without its leading slash.
(component
  (import "wasi:filesystem/types@VERSION" (instance $types
    (export "descriptor" (type $descriptor (sub resource)))
    (type $error-code' (enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist"
      "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io" "is-directory" "loop"
      "too-many-links" "message-size" "name-too-long" "no-device" "no-entry" "no-lock" "insufficient-memory"
      "insufficient-space" "not-directory" "not-empty" "not-recoverable" "unsupported" "no-tty" "no-such-device"
      "overflow" "not-permitted" "pipe" "read-only" "invalid-seek" "text-file-busy" "cross-device"))
    (export "error-code" (type $error-code (eq $error-code')))
    (type $path-flags' (flags "symlink-follow"))
    (export "path-flags" (type $path-flags (eq $path-flags')))
    (type $open-flags' (flags "create" "directory" "exclusive" "truncate"))
    (export "open-flags" (type $open-flags (eq $open-flags')))
    (type $descriptor-flags' (flags "read" "write" "file-integrity-sync" "data-integrity-sync"
      "requested-write-sync" "mutate-directory"))
    (export "descriptor-flags" (type $descriptor-flags (eq $descriptor-flags')))
    (export "[method]descriptor.open-at" (func
      (param "self" (borrow $descriptor)) (param "path-flags" $path-flags) (param "path" string)
      (param "open-flags" $open-flags) (param "flags" $descriptor-flags)
      (result (result (own $descriptor) (error $error-code)))))
    (export "[method]descriptor.read" (func
      (param "self" (borrow $descriptor)) (param "length" u64) (param "offset" u64)
      (result (result (tuple (list u8) bool) (error $error-code)))))
    (export "[method]descriptor.write" (func
      (param "self" (borrow $descriptor)) (param "buffer" (list u8)) (param "offset" u64)
      (result (result u64 (error $error-code)))))))
  (alias export $types "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@VERSION" (instance $preopens
    (alias outer 1 $descriptor (type $descriptor'))
    (export "descriptor" (type $descriptor (eq $descriptor')))
    (export "get-directories" (func (result (list (tuple (own $descriptor) string)))))))

  (core module $libc
    (memory (export "memory") 2)
    (global $free (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $libc (instantiate $libc))

  (core func $get-directories (canon lower (func $preopens "get-directories")
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $open-at (canon lower (func $types "[method]descriptor.open-at") (memory (core memory $libc "memory"))))
  (core func $read (canon lower (func $types "[method]descriptor.read")
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $write (canon lower (func $types "[method]descriptor.write") (memory (core memory $libc "memory"))))
  (core func $drop (canon resource.drop $descriptor))

  (core module $main
    (import "libc" "memory" (memory 2))
    (import "wasi" "get-directories" (func $get-directories (param i32)))
    (import "wasi" "open-at" (func $open-at (param i32 i32 i32 i32 i32 i32 i32)))
    (import "wasi" "read" (func $read (param i32 i64 i64 i32)))
    (import "wasi" "write" (func $write (param i32 i32 i32 i64 i32)))
    (import "wasi" "drop" (func $drop (param i32)))
    (data (i32.const 1200) "CANARY\00")
    (data (i32.const 1056) "copy.txt")
    (data (i32.const 2048) "SECRET\00")
    (func $len (param $at i32) (result i32)
      (local $end i32)
      (local.set $end (local.get $at))
      (loop $more
        (if (i32.load8_u (local.get $end))
          (then (local.set $end (i32.add (local.get $end) (i32.const 1))) (br $more))))
      (i32.sub (local.get $end) (local.get $at)))
    ;; True if the path can be opened for reading.
    (func $opens (param $dir i32) (param $at i32) (param $len i32) (result i32)
      (call $open-at (local.get $dir) (i32.const 1) (local.get $at) (local.get $len) (i32.const 0) (i32.const 1)
        (i32.const 0))
      (i32.eqz (i32.load8_u (i32.const 0))))
    (func (export "run") (result i32)
      (local $dir i32) (local $file i32) (local $copy i32)
      (call $get-directories (i32.const 0))
      ;; Exactly one preopened directory.
      (if (i32.ne (i32.load (i32.const 4)) (i32.const 1)) (then (unreachable)))
      (local.set $dir (i32.load (i32.load (i32.const 0))))
      (if (call $opens (local.get $dir) (i32.const 2048) (call $len (i32.const 2048))) (then (unreachable)))
      (if (call $opens (local.get $dir) (i32.const 2049) (call $len (i32.const 2049))) (then (unreachable)))
      (if (i32.eqz (call $opens (local.get $dir) (i32.const 1200) (call $len (i32.const 1200)))) (then (return (i32.const 1))))
      (local.set $file (i32.load (i32.const 4)))
      ;; create, write
      (call $open-at (local.get $dir) (i32.const 0) (i32.const 1056) (i32.const 8) (i32.const 1) (i32.const 2) (i32.const 0))
      (if (i32.load8_u (i32.const 0)) (then (return (i32.const 1))))
      (local.set $copy (i32.load (i32.const 4)))
      (call $read (local.get $file) (i64.const 1000) (i64.const 0) (i32.const 0))
      (if (i32.load8_u (i32.const 0)) (then (return (i32.const 1))))
      (call $write (local.get $copy) (i32.load (i32.const 4)) (i32.load (i32.const 8)) (i64.const 0) (i32.const 32))
      (call $drop (local.get $file))
      (call $drop (local.get $copy))
      (call $drop (local.get $dir))
      (i32.load8_u (i32.const 32))))
  (core instance $main (instantiate $main
    (with "libc" (instance $libc))
    (with "wasi" (instance
      (export "get-directories" (func $get-directories))
      (export "open-at" (func $open-at))
      (export "read" (func $read))
      (export "write" (func $write))
      (export "drop" (func $drop))))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (component $shim
    (import "run" (func $run (result (result))))
    (export "run" (func $run)))
  (instance $cli (instantiate $shim (with "run" (func $run))))
  (export "wasi:cli/run@VERSION" (instance $cli)))
