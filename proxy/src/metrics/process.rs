//! Facts about this process, under the names that Prometheus client libraries use.

use std::fs;

use crate::metrics::text::Exposition;

/// Appends `process_*`; what the system does not tell is left out.
pub fn expose(out: &mut Exposition) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the command in parentheses, which may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<f64>().ok());
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    if let (Some(user), Some(system)) = (field(14), field(15)) {
        gauge(
            out,
            "process_cpu_seconds_total",
            "counter",
            "CPU time spent in user and system mode.",
            (user + system) / ticks,
        );
    }
    if let Some(pages) = field(24) {
        let bytes = pages * rustix::param::page_size() as f64;
        gauge(out, "process_resident_memory_bytes", "gauge", "Resident memory size.", bytes);
    }
    if let Some(bytes) = field(23) {
        gauge(out, "process_virtual_memory_bytes", "gauge", "Virtual memory size.", bytes);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        gauge(out, "process_open_fds", "gauge", "Open file descriptors.", descriptors.count() as f64);
    }
    if let Some(maximum) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        gauge(
            out,
            "process_max_fds",
            "gauge",
            "Highest allowed number of open file descriptors.",
            maximum as f64,
        );
    }
    if let (Some(since_boot), Some(boot)) = (field(22), boot_time()) {
        let start = boot + since_boot / ticks;
        gauge(
            out,
            "process_start_time_seconds",
            "gauge",
            "Start of the process in seconds since 1970.",
            start,
        );
    }
}

fn gauge(out: &mut Exposition, name: &str, kind: &str, help: &str, value: f64) {
    out.family(name, kind, help);
    out.sample(name, &[], value);
}

fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}
