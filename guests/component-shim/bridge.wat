;; The other half of wasi:filesystem 0.3 beside guests/component-shim.
;;
;; Four functions give out streams and are not `async`. The task of such a function ends when it has answered,
;; so whoever fills the stream has to be another one. In the types that the shim exports, they are `async`:
;; they answer at once and their tasks go on. Here they are called and get the type that programs know. That
;; has to be a component of its own, because none may call itself. All other functions are passed on as they are.
;;
;; Made into crates/link/component-bridge.wasm by scripts/shim.sh.
(component $bridge
  (type $Types (instance
    (type $text (option string))
    (type $instant-shape (record (field "seconds" s64) (field "nanoseconds" u32)))
    (export "instant" (type $instant (eq $instant-shape)))
    (type $filesize-shape u64)
    (export "filesize" (type $filesize (eq $filesize-shape)))
    (type $link-count-shape u64)
    (export "link-count" (type $link-count (eq $link-count-shape)))
    (type $descriptor-type-shape (variant
      (case "block-device") (case "character-device") (case "directory") (case "fifo") (case "symbolic-link")
      (case "regular-file") (case "socket") (case "other" $text)))
    (export "descriptor-type" (type $descriptor-type (eq $descriptor-type-shape)))
    (type $descriptor-flags-shape (flags
      "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync" "mutate-directory"))
    (export "descriptor-flags" (type $descriptor-flags (eq $descriptor-flags-shape)))
    (type $path-flags-shape (flags "symlink-follow"))
    (export "path-flags" (type $path-flags (eq $path-flags-shape)))
    (type $open-flags-shape (flags "create" "directory" "exclusive" "truncate"))
    (export "open-flags" (type $open-flags (eq $open-flags-shape)))
    (type $time (option $instant))
    (type $descriptor-stat-shape (record
      (field "type" $descriptor-type) (field "link-count" $link-count) (field "size" $filesize)
      (field "data-access-timestamp" $time) (field "data-modification-timestamp" $time)
      (field "status-change-timestamp" $time)))
    (export "descriptor-stat" (type $descriptor-stat (eq $descriptor-stat-shape)))
    (type $new-timestamp-shape (variant (case "no-change") (case "now") (case "timestamp" $instant)))
    (export "new-timestamp" (type $new-timestamp (eq $new-timestamp-shape)))
    (type $directory-entry-shape (record (field "type" $descriptor-type) (field "name" string)))
    (export "directory-entry" (type $directory-entry (eq $directory-entry-shape)))
    (type $error-code-shape (variant
      (case "access") (case "already") (case "bad-descriptor") (case "busy") (case "deadlock") (case "quota")
      (case "exist") (case "file-too-large") (case "illegal-byte-sequence") (case "in-progress")
      (case "interrupted") (case "invalid") (case "io") (case "is-directory") (case "loop")
      (case "too-many-links") (case "message-size") (case "name-too-long") (case "no-device") (case "no-entry")
      (case "no-lock") (case "insufficient-memory") (case "insufficient-space") (case "not-directory")
      (case "not-empty") (case "not-recoverable") (case "unsupported") (case "no-tty") (case "no-such-device")
      (case "overflow") (case "not-permitted") (case "pipe") (case "read-only") (case "invalid-seek")
      (case "text-file-busy") (case "cross-device") (case "other" $text)))
    (export "error-code" (type $error-code (eq $error-code-shape)))
    (type $advice-shape (enum "normal" "sequential" "random" "will-need" "dont-need" "no-reuse"))
    (export "advice" (type $advice (eq $advice-shape)))
    (type $metadata-hash-value-shape (record (field "lower" u64) (field "upper" u64)))
    (export "metadata-hash-value" (type $metadata-hash-value (eq $metadata-hash-value-shape)))
    (export "descriptor" (type $descriptor (sub resource)))
    (type $self (borrow $descriptor))
    (type $own (own $descriptor))
    (type $bytes (stream u8))
    (type $entries (stream $directory-entry))
    (type $done (result (error $error-code)))
    (type $promise (future $done))
    (export "[method]descriptor.read-via-stream" (func async
      (param "self" $self) (param "offset" $filesize)
      (result (tuple $bytes $promise))))
    (export "[method]descriptor.write-via-stream" (func async
      (param "self" $self) (param "data" $bytes) (param "offset" $filesize)
      (result $promise)))
    (export "[method]descriptor.append-via-stream" (func async
      (param "self" $self) (param "data" $bytes)
      (result $promise)))
    (export "[method]descriptor.read-directory" (func async (param "self" $self) (result (tuple $entries $promise))))
    (export "[method]descriptor.advise" (func async
      (param "self" $self) (param "offset" $filesize) (param "length" $filesize) (param "advice" $advice)
      (result $done)))
    (export "[method]descriptor.sync-data" (func async (param "self" $self) (result $done)))
    (export "[method]descriptor.get-flags" (func async
      (param "self" $self)
      (result (result $descriptor-flags (error $error-code)))))
    (export "[method]descriptor.get-type" (func async
      (param "self" $self)
      (result (result $descriptor-type (error $error-code)))))
    (export "[method]descriptor.set-size" (func async (param "self" $self) (param "size" $filesize) (result $done)))
    (export "[method]descriptor.set-times" (func async
      (param "self" $self) (param "data-access-timestamp" $new-timestamp) (param "data-modification-timestamp" $new-timestamp)
      (result $done)))
    (export "[method]descriptor.sync" (func async (param "self" $self) (result $done)))
    (export "[method]descriptor.create-directory-at" (func async
      (param "self" $self) (param "path" string)
      (result $done)))
    (export "[method]descriptor.stat" (func async
      (param "self" $self)
      (result (result $descriptor-stat (error $error-code)))))
    (export "[method]descriptor.stat-at" (func async
      (param "self" $self) (param "path-flags" $path-flags) (param "path" string)
      (result (result $descriptor-stat (error $error-code)))))
    (export "[method]descriptor.set-times-at" (func async
      (param "self" $self) (param "path-flags" $path-flags) (param "path" string) (param "data-access-timestamp" $new-timestamp) (param "data-modification-timestamp" $new-timestamp)
      (result $done)))
    (export "[method]descriptor.link-at" (func async
      (param "self" $self) (param "old-path-flags" $path-flags) (param "old-path" string) (param "new-descriptor" $self) (param "new-path" string)
      (result $done)))
    (export "[method]descriptor.open-at" (func async
      (param "self" $self) (param "path-flags" $path-flags) (param "path" string) (param "open-flags" $open-flags) (param "flags" $descriptor-flags)
      (result (result $own (error $error-code)))))
    (export "[method]descriptor.readlink-at" (func async
      (param "self" $self) (param "path" string)
      (result (result string (error $error-code)))))
    (export "[method]descriptor.remove-directory-at" (func async
      (param "self" $self) (param "path" string)
      (result $done)))
    (export "[method]descriptor.rename-at" (func async
      (param "self" $self) (param "old-path" string) (param "new-descriptor" $self) (param "new-path" string)
      (result $done)))
    (export "[method]descriptor.symlink-at" (func async
      (param "self" $self) (param "old-path" string) (param "new-path" string)
      (result $done)))
    (export "[method]descriptor.unlink-file-at" (func async
      (param "self" $self) (param "path" string)
      (result $done)))
    (export "[method]descriptor.is-same-object" (func async (param "self" $self) (param "other" $self) (result bool)))
    (export "[method]descriptor.metadata-hash" (func async
      (param "self" $self)
      (result (result $metadata-hash-value (error $error-code)))))
    (export "[method]descriptor.metadata-hash-at" (func async
      (param "self" $self) (param "path-flags" $path-flags) (param "path" string)
      (result (result $metadata-hash-value (error $error-code)))))
  ))
  (import "wasi:filesystem/types@0.3.0" (instance $types (type $Types)))

  (component $Front
    (alias outer $bridge $Types (type $Types))
    (import "types" (instance $types (type $Types)))
    (alias export $types "descriptor" (type $descriptor))
    (export $exported "descriptor" (type $descriptor))
    (type $text (option string))
    (type $instant-shape (record (field "seconds" s64) (field "nanoseconds" u32)))
    (export $instant "instant" (type $instant-shape))
    (type $filesize-shape u64)
    (export $filesize "filesize" (type $filesize-shape))
    (type $link-count-shape u64)
    (export $link-count "link-count" (type $link-count-shape))
    (type $descriptor-type-shape (variant
      (case "block-device") (case "character-device") (case "directory") (case "fifo") (case "symbolic-link")
      (case "regular-file") (case "socket") (case "other" $text)))
    (export $descriptor-type "descriptor-type" (type $descriptor-type-shape))
    (type $descriptor-flags-shape (flags
      "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync" "mutate-directory"))
    (export $descriptor-flags "descriptor-flags" (type $descriptor-flags-shape))
    (type $path-flags-shape (flags "symlink-follow"))
    (export $path-flags "path-flags" (type $path-flags-shape))
    (type $open-flags-shape (flags "create" "directory" "exclusive" "truncate"))
    (export $open-flags "open-flags" (type $open-flags-shape))
    (type $time (option $instant))
    (type $descriptor-stat-shape (record
      (field "type" $descriptor-type) (field "link-count" $link-count) (field "size" $filesize)
      (field "data-access-timestamp" $time) (field "data-modification-timestamp" $time)
      (field "status-change-timestamp" $time)))
    (export $descriptor-stat "descriptor-stat" (type $descriptor-stat-shape))
    (type $new-timestamp-shape (variant (case "no-change") (case "now") (case "timestamp" $instant)))
    (export $new-timestamp "new-timestamp" (type $new-timestamp-shape))
    (type $directory-entry-shape (record (field "type" $descriptor-type) (field "name" string)))
    (export $directory-entry "directory-entry" (type $directory-entry-shape))
    (type $error-code-shape (variant
      (case "access") (case "already") (case "bad-descriptor") (case "busy") (case "deadlock") (case "quota")
      (case "exist") (case "file-too-large") (case "illegal-byte-sequence") (case "in-progress")
      (case "interrupted") (case "invalid") (case "io") (case "is-directory") (case "loop")
      (case "too-many-links") (case "message-size") (case "name-too-long") (case "no-device") (case "no-entry")
      (case "no-lock") (case "insufficient-memory") (case "insufficient-space") (case "not-directory")
      (case "not-empty") (case "not-recoverable") (case "unsupported") (case "no-tty") (case "no-such-device")
      (case "overflow") (case "not-permitted") (case "pipe") (case "read-only") (case "invalid-seek")
      (case "text-file-busy") (case "cross-device") (case "other" $text)))
    (export $error-code "error-code" (type $error-code-shape))
    (type $advice-shape (enum "normal" "sequential" "random" "will-need" "dont-need" "no-reuse"))
    (export $advice "advice" (type $advice-shape))
    (type $metadata-hash-value-shape (record (field "lower" u64) (field "upper" u64)))
    (export $metadata-hash-value "metadata-hash-value" (type $metadata-hash-value-shape))
    (type $self (borrow $exported))
    (type $own (own $exported))
    (type $bytes (stream u8))
    (type $entries (stream $directory-entry))
    (type $done (result (error $error-code)))
    (type $promise (future $done))

    (core module $Memory (memory (export "memory") 1))
    (core instance $memory (instantiate $Memory))
    (core func $drop (canon resource.drop $descriptor))
    (core func $read (canon lower (func $types "[method]descriptor.read-via-stream") async
      (memory (core memory $memory "memory"))))
    (core func $write (canon lower (func $types "[method]descriptor.write-via-stream") async
      (memory (core memory $memory "memory"))))
    (core func $append (canon lower (func $types "[method]descriptor.append-via-stream") async
      (memory (core memory $memory "memory"))))
    (core func $list (canon lower (func $types "[method]descriptor.read-directory") async
      (memory (core memory $memory "memory"))))

    (core module $Main
      (import "types" "memory" (memory 1))
      (import "types" "drop" (func $drop (param i32)))
      (import "types" "read" (func $read (param i32 i64 i32) (result i32)))
      (import "types" "write" (func $write (param i32 i32 i64 i32) (result i32)))
      (import "types" "append" (func $append (param i32 i32 i32) (result i32)))
      (import "types" "list" (func $list (param i32 i32) (result i32)))
      ;; The answer to the call under way, of which there is never more than one, is at 16.

      ;; Ends a call, which has been answered: the shim waits for nothing. Only when it is inside a call of WASI
      ;; 0.2 that waits for the host, and another component of the same program comes in between, it has not
      ;; begun; a function that is not `async` cannot wait for that.
      (func $end (param $self i32) (param $status i32)
        (if (i32.ne (local.get $status) (i32.const 2 (; returned ;))) (then unreachable))
        (call $drop (local.get $self)))
      (func (export "read") (param $self i32) (param $offset i64) (result i32)
        (call $end (local.get $self) (call $read (local.get $self) (local.get $offset) (i32.const 16)))
        (i32.const 16))
      (func (export "write") (param $self i32) (param $data i32) (param $offset i64) (result i32)
        (call $end (local.get $self)
          (call $write (local.get $self) (local.get $data) (local.get $offset) (i32.const 16)))
        (i32.load (i32.const 16)))
      (func (export "append") (param $self i32) (param $data i32) (result i32)
        (call $end (local.get $self) (call $append (local.get $self) (local.get $data) (i32.const 16)))
        (i32.load (i32.const 16)))
      (func (export "list") (param $self i32) (result i32)
        (call $end (local.get $self) (call $list (local.get $self) (i32.const 16)))
        (i32.const 16)))
    (core instance $main (instantiate $Main
      (with "types" (instance
        (export "memory" (memory $memory "memory"))
        (export "drop" (func $drop))
        (export "read" (func $read))
        (export "write" (func $write))
        (export "append" (func $append))
        (export "list" (func $list))))))
    (func $read-here (param "self" $self) (param "offset" $filesize) (result (tuple $bytes $promise))
      (canon lift (core func $main "read") (memory (core memory $memory "memory"))))
    (export "[method]descriptor.read-via-stream" (func $read-here))
    (func $write-here (param "self" $self) (param "data" $bytes) (param "offset" $filesize) (result $promise)
      (canon lift (core func $main "write")))
    (export "[method]descriptor.write-via-stream" (func $write-here))
    (func $append-here (param "self" $self) (param "data" $bytes) (result $promise)
      (canon lift (core func $main "append")))
    (export "[method]descriptor.append-via-stream" (func $append-here))
    (func $list-here (param "self" $self) (result (tuple $entries $promise))
      (canon lift (core func $main "list") (memory (core memory $memory "memory"))))
    (export "[method]descriptor.read-directory" (func $list-here))

    (export "[method]descriptor.advise" (func $types "[method]descriptor.advise") (func async
      (param "self" $self) (param "offset" $filesize) (param "length" $filesize) (param "advice" $advice)
      (result $done)))
    (export "[method]descriptor.sync-data" (func $types "[method]descriptor.sync-data") (func async
      (param "self" $self)
      (result $done)))
    (export "[method]descriptor.get-flags" (func $types "[method]descriptor.get-flags") (func async
      (param "self" $self)
      (result (result $descriptor-flags (error $error-code)))))
    (export "[method]descriptor.get-type" (func $types "[method]descriptor.get-type") (func async
      (param "self" $self)
      (result (result $descriptor-type (error $error-code)))))
    (export "[method]descriptor.set-size" (func $types "[method]descriptor.set-size") (func async
      (param "self" $self) (param "size" $filesize)
      (result $done)))
    (export "[method]descriptor.set-times" (func $types "[method]descriptor.set-times") (func async
      (param "self" $self) (param "data-access-timestamp" $new-timestamp) (param "data-modification-timestamp" $new-timestamp)
      (result $done)))
    (export "[method]descriptor.sync" (func $types "[method]descriptor.sync") (func async
      (param "self" $self)
      (result $done)))
    (export "[method]descriptor.create-directory-at" (func $types "[method]descriptor.create-directory-at") (func async
      (param "self" $self) (param "path" string)
      (result $done)))
    (export "[method]descriptor.stat" (func $types "[method]descriptor.stat") (func async
      (param "self" $self)
      (result (result $descriptor-stat (error $error-code)))))
    (export "[method]descriptor.stat-at" (func $types "[method]descriptor.stat-at") (func async
      (param "self" $self) (param "path-flags" $path-flags) (param "path" string)
      (result (result $descriptor-stat (error $error-code)))))
    (export "[method]descriptor.set-times-at" (func $types "[method]descriptor.set-times-at") (func async
      (param "self" $self) (param "path-flags" $path-flags) (param "path" string) (param "data-access-timestamp" $new-timestamp) (param "data-modification-timestamp" $new-timestamp)
      (result $done)))
    (export "[method]descriptor.link-at" (func $types "[method]descriptor.link-at") (func async
      (param "self" $self) (param "old-path-flags" $path-flags) (param "old-path" string) (param "new-descriptor" $self) (param "new-path" string)
      (result $done)))
    (export "[method]descriptor.open-at" (func $types "[method]descriptor.open-at") (func async
      (param "self" $self) (param "path-flags" $path-flags) (param "path" string) (param "open-flags" $open-flags) (param "flags" $descriptor-flags)
      (result (result $own (error $error-code)))))
    (export "[method]descriptor.readlink-at" (func $types "[method]descriptor.readlink-at") (func async
      (param "self" $self) (param "path" string)
      (result (result string (error $error-code)))))
    (export "[method]descriptor.remove-directory-at" (func $types "[method]descriptor.remove-directory-at") (func async
      (param "self" $self) (param "path" string)
      (result $done)))
    (export "[method]descriptor.rename-at" (func $types "[method]descriptor.rename-at") (func async
      (param "self" $self) (param "old-path" string) (param "new-descriptor" $self) (param "new-path" string)
      (result $done)))
    (export "[method]descriptor.symlink-at" (func $types "[method]descriptor.symlink-at") (func async
      (param "self" $self) (param "old-path" string) (param "new-path" string)
      (result $done)))
    (export "[method]descriptor.unlink-file-at" (func $types "[method]descriptor.unlink-file-at") (func async
      (param "self" $self) (param "path" string)
      (result $done)))
    (export "[method]descriptor.is-same-object" (func $types "[method]descriptor.is-same-object") (func async
      (param "self" $self) (param "other" $self)
      (result bool)))
    (export "[method]descriptor.metadata-hash" (func $types "[method]descriptor.metadata-hash") (func async
      (param "self" $self)
      (result (result $metadata-hash-value (error $error-code)))))
    (export "[method]descriptor.metadata-hash-at" (func $types "[method]descriptor.metadata-hash-at") (func async
      (param "self" $self) (param "path-flags" $path-flags) (param "path" string)
      (result (result $metadata-hash-value (error $error-code)))))
  )

  (instance $front (instantiate $Front (with "types" (instance $types))))
  (export "wasi:filesystem/types@0.3.0" (instance $front))
)
