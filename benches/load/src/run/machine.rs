//! Where the generator runs.

use std::fs;
use std::num::NonZero;
use std::thread::available_parallelism;

use crate::summary::document::Machine;

/// What this machine says of itself; what it does not say is empty.
pub(super) fn this_machine() -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
        value.unwrap_or_default().trim().to_owned()
    };
    let kernel = [read("/proc/sys/kernel/ostype"), read("/proc/sys/kernel/osrelease")];
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let kibibytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
    Machine {
        cpus: u32::try_from(processors()).unwrap_or(u32::MAX),
        cpu_model: field(&read("/proc/cpuinfo"), "model name"),
        kernel: kernel.each_ref().map(|part| part.trim()).join(" ").trim().to_owned(),
        memory_bytes: kibibytes << 10,
    }
}

/// Processors that this process may use.
pub(super) fn processors() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}
