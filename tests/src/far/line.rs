//! A line between two routers on which packets take time, and somebody who reads along.
//!
//! Packets that contain what he looks for go on with 02:00:00:00:06:66 for their sender: what is done to them is a matter of the
//! next router's filter.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvfrom, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::TimeVal;

use super::checksum;
use crate::namespace::Namespace;
use crate::wire;

/// The sender of packets that contain what was looked for.
const MARK: [u8; 6] = [2, 0, 0, 0, 6, 0x66];
/// One way.
const DELAY: Duration = Duration::from_millis(6);
/// How soon the threads see that they are to end.
const GLANCE: TimeVal = TimeVal::new(0, 200_000);
/// `PACKET_OUTGOING`: what this host itself sent.
const OUTGOING: u8 = 4;
/// More than any packet of the lab.
const LARGEST: usize = 65_536;

/// The line; gone when dropped.
pub(super) struct Line {
    looked_for: Arc<Mutex<Vec<u8>>>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    _middle: Namespace,
}

impl Line {
    /// Lays it between two interfaces, which are made for it.
    pub(super) fn between(
        near: (&Namespace, &str),
        far: (&Namespace, &str),
        resolv_conf: &Path,
    ) -> Result<Self> {
        let middle = Namespace::new("line", resolv_conf)?;
        middle.set_switches(DEAF)?;
        for (end, (router, interface)) in [("near", near), ("far", far)] {
            let there = middle.keeper();
            // Only what was cut to packets here can be sent on as packets.
            let script = format!(
                "link add {interface} type veth peer name {end} netns {there}\nlink set dev {interface} gso_max_segs 1\n"
            );
            wire::set(router, script)?;
        }
        wire::set(&middle, "link set near up\nlink set far up\n".to_owned())?;
        let mut line = Self {
            looked_for: Arc::default(),
            over: Arc::default(),
            threads: Vec::new(),
            _middle: middle,
        };
        let (there, back) = line
            ._middle
            .run(|| Ok::<_, anyhow::Error>((open("near")?, open("far")?)))?;
        line.carry(there.clone(), back.clone());
        line.carry(back, there);
        Ok(line)
    }

    /// From now on he looks for this; for nothing, if it is empty.
    pub(super) fn look_for(&self, text: &str) {
        *self.looked_for.lock().unwrap_or_else(PoisonError::into_inner) = text.as_bytes().to_vec();
    }

    fn carry(&mut self, from: Arc<OwnedFd>, to: Arc<OwnedFd>) {
        let (leave, arrive) = mpsc::channel::<(Instant, Vec<u8>)>();
        let (over, looked_for) = (self.over.clone(), self.looked_for.clone());
        self.threads.push(std::thread::spawn(move || {
            let mut frame = vec![0; LARGEST];
            while !over.load(Ordering::Relaxed) {
                let Ok((length, Some(sender))) = recvfrom::<LinkAddr>(from.as_raw_fd(), &mut frame) else {
                    continue;
                };
                if sender.pkttype() == OUTGOING {
                    continue;
                }
                let mut frame = frame[..length].to_vec();
                mark(
                    &mut frame,
                    &looked_for.lock().unwrap_or_else(PoisonError::into_inner),
                );
                if leave.send((Instant::now() + DELAY, frame)).is_err() {
                    return;
                }
            }
        }));
        self.threads.push(std::thread::spawn(move || {
            for (due, mut frame) in arrive {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                checksum::complete(&mut frame);
                // What does not fit is lost, as on any line.
                let _ = send(to.as_raw_fd(), &frame, MsgFlags::empty());
            }
        }));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Its panic was printed.
            let _ = thread.join();
        }
    }
}

fn mark(frame: &mut [u8], looked_for: &[u8]) {
    let contains = |part: &[u8]| part.windows(looked_for.len()).any(|window| window == looked_for);
    if !looked_for.is_empty() && frame.len() > 14 && contains(&frame[14..]) {
        frame[6..12].copy_from_slice(&MARK);
    }
}

/// Everything that passes an interface.
fn open(interface: &str) -> Result<Arc<OwnedFd>> {
    let address = getifaddrs()?
        .filter(|found| found.interface_name == interface)
        .find_map(|found| found.address?.as_link_addr().copied())
        .with_context(|| format!("no interface {interface}"))?;
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::EthAll,
    )
    .context("open a packet socket")?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &GLANCE)?;
    bind(socket.as_raw_fd(), &address).with_context(|| format!("listen at {interface}"))?;
    Ok(Arc::new(socket))
}

/// A line takes no part in what it carries.
const DEAF: &[(&str, &str)] = &[
    ("ipv6/conf/all/disable_ipv6", "1"),
    ("ipv6/conf/default/disable_ipv6", "1"),
];
