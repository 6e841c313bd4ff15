;; A component of the agent class, were it not for one import: it asks for `secrets`.
(component
  (import "tavora:platform/secrets@0.1.0" (instance
    (type $error (variant (case "no-vault-designated") (case "not-found") (case "not-granted") (case "unavailable")))
    (export "resolve-error" (type $exported (eq $error)))
    (export "resolve" (func (param "name" string) (result (result string (error $exported))))))))
