//! Who a process is: key, join token, certificate, mutual TLS, sealed secrets
