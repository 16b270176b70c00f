//! Every packet of every host and router of a lab, written down.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use crate::lab::Lab;
use crate::process::Process;
use crate::wait;

/// Time to begin and to end.
const SOON: Duration = Duration::from_secs(10);

/// Recorders that run; each one's file is in the lab's directory.
pub struct Sniffers(Vec<(Process, PathBuf)>);

impl Sniffers {
    /// Starts one in each namespace, and waits until each records.
    pub fn start(lab: &Lab) -> Result<Self> {
        let mut sniffers = Vec::new();
        for (number, namespace) in lab.namespaces().enumerate() {
            let file = lab.directory().join(format!("packets-{number}.pcap"));
            let mut command = Command::new("tcpdump");
            command
                .args([
                    "-i",
                    "any",
                    "-n",
                    "-U",
                    "--immediate-mode",
                    "-s",
                    "0",
                    "-Z",
                    "root",
                    "-w",
                ])
                .arg(&file);
            let process = Process::start(namespace, &format!("packets-{number}"), lab.directory(), &command)?;
            sniffers.push((process, file));
        }
        for (process, _) in &mut sniffers {
            wait::until("recording of packets", SOON, || {
                Ok(process.log().contains("listening on").then_some(()))
            })?;
        }
        Ok(Self(sniffers))
    }

    /// What they have written so far.
    pub fn files(&self) -> Vec<PathBuf> {
        self.0.iter().map(|(_, file)| file.clone()).collect()
    }

    /// Ends them all; what they wrote stays.
    pub fn end(self) -> Result<()> {
        for (mut process, _) in self.0 {
            process.signal(Signal::SIGINT)?;
            process.wait(SOON)?;
        }
        Ok(())
    }
}
