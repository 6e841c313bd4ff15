;; what: An agent that sends 10 MiB to a tool, and returns the error's code.
;; load-as: agent
;; expect: ok "invalid_input"
(component
  (import "tavora:platform/tools@0.1.0" (instance $tools
    (type $error (record (field "code" string) (field "message" string)))
    (export "tool-error" (type $tool-error (eq $error)))
    (type $one (record (field "tool" string) (field "operation" string) (field "input" string)))
    (export "tool-call" (type $tool-call (eq $one)))
    (export "call" (func
      (param "tool" string) (param "operation" string) (param "input" string)
      (result (result string (error $tool-error)))))
    (export "call-all" (func
      (param "calls" (list $tool-call)) (result (list (result string (error $tool-error))))))
    (export "log" (func (param "line" string)))))
  (core module $memory
    (memory (export "memory") 200)
    (global $free (mut i32) (i32.const 4096))
    (func (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (local.get $at)))
  (core instance $memory (instantiate $memory))
  (core func $call (canon lower (func $tools "call")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (core func $call-all (canon lower (func $tools "call-all")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (core func $log (canon lower (func $tools "log") (memory $memory "memory")))
  (core module $guest
    (import "host" "memory" (memory 200))
    (import "host" "call" (func $call (param i32 i32 i32 i32 i32 i32 i32)))
    (import "host" "call-all" (func $call-all (param i32 i32 i32)))
    (import "host" "log" (func $log (param i32 i32)))
    (data (i32.const 256) "vault")
    (data (i32.const 272) "resolve")
    (data (i32.const 288) "{}")
    (func (export "run") (param i32 i32 i32 i32 i64 i64) (result i32)
      (call $call (i32.const 256) (i32.const 5) (i32.const 272) (i32.const 7)
        (i32.const 65536) (i32.const 10485760) (i32.const 128))
      (i32.store8 (i32.const 512) (i32.const 34))
      (memory.copy (i32.const 513) (i32.load (i32.const 132)) (i32.load (i32.const 136)))
      (i32.store8 (i32.add (i32.const 513) (i32.load (i32.const 136))) (i32.const 34))
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (i32.const 512))
      (i32.store (i32.const 24) (i32.add (i32.load (i32.const 136)) (i32.const 2)))
      (i32.const 16)))
  (core instance $guest (instantiate $guest (with "host" (instance
    (export "memory" (memory $memory "memory"))
    (export "call" (func $call))
    (export "call-all" (func $call-all))
    (export "log" (func $log))))))
  (type $run-input (record
    (field "code" string) (field "input" string) (field "now-ms" u64) (field "seed" u64)))
  (type $run-error (record
    (field "name" string) (field "code" (option string)) (field "message" string) (field "stack" string)))
  (func $run (param "input" $run-input) (result (result string (error $run-error)))
    (canon lift (core func $guest "run")
      (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (instance $agent
    (export "run-input" (type $run-input))
    (export "run-error" (type $run-error))
    (export "run" (func $run)))
  (export "tavora:platform/agent@0.1.0" (instance $agent))
)
