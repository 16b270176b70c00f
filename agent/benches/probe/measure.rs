//! Wall clock, processor and memory of this process.

use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tokio::sync::Semaphore;

/// What a number of probes took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    probes: usize,
    wall: Duration,
    cpu: Duration,
}

impl Figures {
    /// Wall clock time that one probe took while so many ran.
    pub(crate) fn wall(&self, together: usize) -> f64 {
        self.wall.as_secs_f64() * together.min(self.probes) as f64 / self.probes as f64
    }

    /// Processor time of one probe.
    pub(crate) fn cpu(&self) -> f64 {
        self.cpu.as_secs_f64() / self.probes as f64
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.probes += other.probes;
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>7.3} ms   {:>7.3} ms   {:>7.0}",
            self.wall.as_secs_f64() * 1e3 / self.probes as f64,
            self.cpu() * 1e3,
            1.0 / self.cpu()
        )
    }
}

/// Makes `probes`, `together` at a time.
pub(crate) async fn in_flight<F>(probes: usize, together: usize, one: impl Fn() -> F) -> Figures
where
    F: Future<Output = ()> + Send + 'static,
{
    let (began, used) = (Instant::now(), processor());
    let room = Arc::new(Semaphore::new(together));
    let mut running = Vec::with_capacity(probes);
    for _ in 0..probes {
        let permit = room.clone().acquire_owned().await.unwrap();
        let probe = one();
        running.push(tokio::spawn(async move {
            probe.await;
            drop(permit);
        }));
    }
    for probe in running {
        probe.await.unwrap();
    }
    Figures {
        probes,
        wall: began.elapsed(),
        cpu: processor() - used,
    }
}

/// Bytes of memory that are resident (proc(5)).
pub(crate) fn resident() -> u64 {
    status("VmRSS:")
}

/// Bytes that are allocated (mallinfo(3)); of memory that was given back none counts.
#[allow(unsafe_code)]
pub(crate) fn in_use() -> u64 {
    // SAFETY: it takes nothing and only reads the allocator's own counts.
    let counts = unsafe { libc::mallinfo2() };
    (counts.uordblks + counts.hblkhd) as u64
}

/// The most bytes that were resident since [`forget_peak`] (proc(5)).
pub(crate) fn peak() -> u64 {
    status("VmHWM:")
}

/// Begins anew with the peak; where that is not allowed, it counts from the beginning of the process.
pub(crate) fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn processor() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.try_into().unwrap())
}
