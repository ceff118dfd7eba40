//! Another process's memory.

/// Resident bytes that are the process's own: not the pages of its executable, which come in as code is first run.
/// `None` where `/proc` does not tell, as when it has ended.
pub fn resident(process: u32) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kibibytes: usize = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kibibytes * 1024)
}
