//! This process's memory, in which the proxy under test lives too.

/// Resident bytes, as the kernel counts them.
///
/// # Panics
/// Where `/proc` does not tell.
pub fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kibibytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
    kibibytes * 1024
}
