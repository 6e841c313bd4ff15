;; what: A tool that opens sockets and looks up a name: each is denied.
;; load-as: tool
;; expect: ok "denied"
;; call: act {}
(component
  (import "wasi:sockets/network@0.2.3" (instance $network
    (export "network" (type (sub resource)))
    (type $codes (enum
      "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
      "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit"
      "address-not-bindable" "address-in-use" "remote-unreachable" "connection-refused"
      "connection-reset" "connection-aborted" "datagram-too-large" "name-unresolvable"
      "temporary-resolver-failure" "permanent-resolver-failure"))
    (export "error-code" (type (eq $codes)))
    (type $families (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type (eq $families)))))
  (alias export $network "network" (type $net))
  (alias export $network "error-code" (type $error-code))
  (alias export $network "ip-address-family" (type $family))
  (import "wasi:sockets/instance-network@0.2.3" (instance $instance-network
    (export "instance-network" (func (result (own $net))))))
  (import "wasi:sockets/ip-name-lookup@0.2.3" (instance $lookup
    (export "resolve-address-stream" (type $stream (sub resource)))
    (export "resolve-addresses" (func
      (param "network" (borrow $net)) (param "name" string)
      (result (result (own $stream) (error $error-code)))))))
  (import "wasi:sockets/tcp@0.2.3" (instance $tcp (export "tcp-socket" (type (sub resource)))))
  (alias export $tcp "tcp-socket" (type $tcp-socket))
  (import "wasi:sockets/tcp-create-socket@0.2.3" (instance $tcp-create
    (export "create-tcp-socket" (func
      (param "address-family" $family) (result (result (own $tcp-socket) (error $error-code)))))))
  (import "wasi:sockets/udp@0.2.3" (instance $udp (export "udp-socket" (type (sub resource)))))
  (alias export $udp "udp-socket" (type $udp-socket))
  (import "wasi:sockets/udp-create-socket@0.2.3" (instance $udp-create
    (export "create-udp-socket" (func
      (param "address-family" $family) (result (result (own $udp-socket) (error $error-code)))))))
  (core module $memory
    (memory (export "memory") 1)
    (global $free (mut i32) (i32.const 4096))
    (func (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (local.get $at)))
  (core instance $memory (instantiate $memory))
  (core func $instance-network (canon lower (func $instance-network "instance-network")))
  (core func $resolve (canon lower (func $lookup "resolve-addresses")
    (memory $memory "memory") (realloc (func $memory "cabi_realloc"))))
  (core func $tcp-socket (canon lower (func $tcp-create "create-tcp-socket") (memory $memory "memory")))
  (core func $udp-socket (canon lower (func $udp-create "create-udp-socket") (memory $memory "memory")))
  (core module $guest
    (import "host" "memory" (memory 1))
    (import "host" "instance-network" (func $instance-network (result i32)))
    (import "host" "resolve" (func $resolve (param i32 i32 i32 i32)))
    (import "host" "tcp-socket" (func $tcp-socket (param i32 i32)))
    (import "host" "udp-socket" (func $udp-socket (param i32 i32)))
    (data (i32.const 320) "localhost")
    (data (i32.const 32) "\c0\00\00\00\01\00\00\00")
    (data (i32.const 192) "\00\01\00\00\03\00\00\00\10\01\00\00\0b\00\00\00\20\01\00\00\11\00\00\00")
    (data (i32.const 256) "act")
    (data (i32.const 272) "Misbehaves.")
    (data (i32.const 288) "{\"type\":\"object\"}")
    (data (i32.const 64) "\"denied\"")
    (func (export "describe") (result i32)
      (i32.const 32))
    (func (export "call") (param i32 i32 i32 i32) (result i32)
      (call $tcp-socket (i32.const 0) (i32.const 128))
      (if (i32.eqz (i32.load8_u (i32.const 128))) (then (unreachable)))
      (if (i32.ne (i32.load8_u (i32.const 132)) (i32.const 1)) (then (unreachable)))
      (call $udp-socket (i32.const 1) (i32.const 128))
      (if (i32.eqz (i32.load8_u (i32.const 128))) (then (unreachable)))
      (if (i32.ne (i32.load8_u (i32.const 132)) (i32.const 1)) (then (unreachable)))
      (call $resolve (call $instance-network) (i32.const 320) (i32.const 9) (i32.const 128))
      (if (i32.eqz (i32.load8_u (i32.const 128))) (then (unreachable)))
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (i32.const 64))
      (i32.store (i32.const 24) (i32.const 8))
      (i32.const 16)))
  (core instance $guest (instantiate $guest (with "host" (instance
    (export "memory" (memory $memory "memory"))
    (export "instance-network" (func $instance-network))
    (export "resolve" (func $resolve))
    (export "tcp-socket" (func $tcp-socket))
    (export "udp-socket" (func $udp-socket))))))
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
