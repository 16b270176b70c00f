//! What a killed process could not remove itself: its directory. Namespaces and programs die with it.

use std::path::Path;
use std::sync::Once;

const PREFIX: &str = "parallax-lab-";

/// How this process's directories begin; the process id in it tells whose they are.
pub fn prefix() -> String {
    format!("{PREFIX}{}-", std::process::id())
}

/// Removes, once per process, the directories whose process is gone.
pub fn sweep() {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| {
        let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else {
            return;
        };
        for entry in entries.flatten() {
            if owner(&entry.file_name().to_string_lossy()).is_some_and(is_gone) {
                // Another user's directory stays, and another process may be faster.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    });
}

fn owner(directory: &str) -> Option<u32> {
    directory.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn is_gone(process: u32) -> bool {
    !Path::new("/proc").join(process.to_string()).exists()
}
