;; what: An agent whose run takes the name of a secret.
;; load-as: agent
;; expect: refused "tavora:platform/agent@0.1.0 has a `run` that is `func(secret: string) -> string`"
(component
  (core module $guest
    (memory (export "memory") 1)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (unreachable))
    (func (export "run") (param i32 i32) (result i32) (unreachable)))
  (core instance $guest (instantiate $guest))
  (func $run (param "secret" string) (result string)
    (canon lift (core func $guest "run")
      (memory $guest "memory") (realloc (func $guest "cabi_realloc"))))
  (instance $agent (export "run" (func $run)))
  (export "tavora:platform/agent@0.1.0" (instance $agent)))
