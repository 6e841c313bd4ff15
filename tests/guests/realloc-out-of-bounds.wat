;; what: An agent that gives the host memory that it does not have.
;; load-as: agent
;; expect: trapped
(component
  (core module $guest
    (memory (export "memory") 1)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const -16))
    (func (export "run") (param i32 i32 i32 i32 i64 i64) (result i32)
      (unreachable)))
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
