;; what: A component that imports nothing and exports nothing of the agent's world.
;; load-as: agent
;; expect: refused "it does not export tavora:platform/agent@0.1.x"
(component
  (instance $nothing)
  (export "tavora:platform/agency@0.1.0" (instance $nothing)))
