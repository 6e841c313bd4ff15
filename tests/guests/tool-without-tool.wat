;; what: A component that imports secrets and exports nothing that the host would call.
;; load-as: tool
;; expect: refused "it exports nothing where tavora:platform/tool@0.1.x is needed"
(component
  (import "tavora:platform/secrets@0.1.0" (instance $secrets
    (type $cases (variant
      (case "no-vault-designated") (case "not-found") (case "not-granted") (case "unavailable")))
    (export "resolve-error" (type $resolve-error (eq $cases)))
    (export "resolve" (func (param "name" string) (result (result string (error $resolve-error))))))))
