;; what: An agent with data at both ends of a large memory, whose full image must not be built.
;; load-as: agent
;; expect: ok "quiet"
(component
  (core module $guest
    (memory (export "memory") 1900)
    (global $free (mut i32) (i32.const 4096))
    (func (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (local.get $at))
    (data (i32.const 64) "\"quiet\"")
    (data (i32.const 124518300) "the other end")
    (func (export "run") (param i32 i32 i32 i32 i64 i64) (result i32)
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (i32.const 64))
      (i32.store (i32.const 24) (i32.const 7))
      (i32.const 16)))
  (core instance $guest (instantiate $guest))
  (type $run-input (record
    (field "code" string) (field "input" string) (field "now-ms" u64) (field "seed" u64)))
  (type $run-error (record
    (field "name" string) (field "code" (option string)) (field "message" string) (field "stack" string)))
  (func $run (param "input" $run-input) (result (result string (error $run-error)))
    (canon lift (core func $guest "run")
      (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (instance $agent
    (export "run-input" (type $run-input))
    (export "run-error" (type $run-error))
    (export "run" (func $run)))
  (export "tavora:platform/agent@0.1.0" (instance $agent))
)
