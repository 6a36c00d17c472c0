;; A command whose arguments, streams and exit are those of WASI 0.2 itself.
(module
  (import "wasi:cli/exit@0.2.3" "exit" (func $exit (param i32)))
  (import "wasi:cli/stdout@0.2.3" "get-stdout" (func $stdout (result i32)))
  (import "wasi:cli/environment@0.2.3" "get-arguments" (func $arguments (param i32)))
  (import "wasi:io/streams@0.2.3" "[method]output-stream.blocking-write-and-flush"
    (func $write (param i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.3" "[constructor]fields" (func $fields (result i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
  (func $begin (call $arguments (i32.const 8)))
  (start $begin)
  (func (export "wasi:cli/run@0.2.3#run") (result i32)
    (call $write (call $stdout) (i32.const 0) (i32.const 8) (i32.const 16))
    (call $exit (i32.const 1))
    (i32.const 0)))
