//! The lab: real networks, real servers, the built programs as black boxes.
//!
//! Everything stands in network namespaces that end with the process. A test builds a [`world::World`], injects
//! faults by name, and judges what `ctl` prints and how it exits.

pub mod accuracy;
pub mod address;
pub mod alertmanager;
pub mod answer;
pub mod background;
pub mod canary;
pub mod catalogue;
pub mod clock;
pub mod credential;
pub mod detour;
pub mod dns;
pub mod document;
pub mod dovecot;
pub mod echo;
pub mod far;
pub mod filter;
pub mod host;
pub mod http;
pub mod impair;
pub mod injectable;
pub mod interceptor;
pub mod interrupt;
pub mod lab;
pub mod ledger;
pub mod namespace;
pub mod old_tls;
pub mod other_server;
pub mod otlp;
pub mod otlp_reader;
pub mod pipe;
pub mod pki;
pub mod process;
pub mod programs;
pub mod prometheus;
pub mod queue;
pub mod recording;
pub mod relay;
pub mod rogue;
pub mod routine;
pub mod running;
pub mod site;
pub mod small_disk;
pub mod sniff;
pub mod speaker;
pub mod stale;
pub mod wait;
pub mod webhook;
pub mod wire;
pub mod world;
pub mod zone;
