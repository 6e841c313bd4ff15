;; what: A core module where a component is needed.
;; load-as: agent
;; expect: not-a-component "core WebAssembly module"
(module (func (export "run")))
