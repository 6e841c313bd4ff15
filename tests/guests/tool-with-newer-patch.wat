;; what: A trusted tool that imports old functions from a newer patch of WASI than the host knows.
;; load-as: tool
;; expect: ok "quiet"
;; call: act {}
(component
  (import "wasi:clocks/monotonic-clock@0.2.13" (instance $clock
    (export "now" (func (result u64)))))
  (core func $time (canon lower (func $clock "now")))
  (core module $memory
    (memory (export "memory") 1)
    (global $free (mut i32) (i32.const 4096))
    (func (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (local.get $at)))
  (core instance $memory (instantiate $memory))
  (core module $guest
    (import "host" "memory" (memory 1))
    (import "host" "time" (func $time (result i64)))
    (data (i32.const 32) "\c0\00\00\00\01\00\00\00")
    (data (i32.const 192) "\00\01\00\00\03\00\00\00\10\01\00\00\0b\00\00\00\20\01\00\00\11\00\00\00")
    (data (i32.const 256) "act")
    (data (i32.const 272) "Misbehaves.")
    (data (i32.const 288) "{\"type\":\"object\"}")
    (data (i32.const 64) "\"quiet\"")
    (func (export "describe") (result i32)
      (i32.const 32))
    (func (export "call") (param i32 i32 i32 i32) (result i32)
      (drop (call $time))
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (i32.const 64))
      (i32.store (i32.const 24) (i32.const 7))
      (i32.const 16)))
  (core instance $guest (instantiate $guest (with "host" (instance
    (export "memory" (memory $memory "memory"))
    (export "time" (func $time))))))
  (type $operation (record
    (field "name" string) (field "description" string) (field "input-schema" string)))
  (type $tool-error (record (field "code" string) (field "message" string)))
  (func $describe (result (list $operation))
    (canon lift (core func $guest "describe") (memory $memory "memory")))
  (func $call (param "operation" string) (param "input" string) (result (result string (error $tool-error)))
    (canon lift (core func $guest "call")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance $tool
    (export "operation" (type $operation))
    (export "tool-error" (type $tool-error))
    (export "describe" (func $describe))
    (export "call" (func $call)))
  (export "tavora:platform/tool@0.1.0" (instance $tool)))
