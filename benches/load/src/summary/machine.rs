//! The machine that the generator runs on, as the kernel tells it.

use std::fs;
use std::num::NonZero;
use std::thread;

use super::document::Machine;

impl Machine {
    /// This machine. What the kernel does not tell stays empty or zero.
    pub fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpus = thread::available_parallelism().map_or(0, NonZero::get);
        Self {
            cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
            cpu_model: cpu_model(&read("/proc/cpuinfo")).to_owned(),
            kernel: format!(
                "{} {}",
                read("/proc/sys/kernel/ostype").trim(),
                read("/proc/sys/kernel/osrelease").trim()
            ),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
        }
    }
}

/// x86 says `model name`; other processors `Model`, `cpu model` or `Processor`.
fn cpu_model(cpuinfo: &str) -> &str {
    let field = |name: &str| {
        let line =
            cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        line.split_once(':').map(|(_, value)| value.trim())
    };
    ["model name", "Model", "cpu model", "Processor"].into_iter().find_map(field).unwrap_or("")
}

fn memory_bytes(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.map_or(0, |kibibytes| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_files_are_read() {
        let cpuinfo = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Xeon(R) @ 2.60GHz\n\nprocessor\t: 1\n";
        assert_eq!(cpu_model(cpuinfo), "Xeon(R) @ 2.60GHz");
        assert_eq!(cpu_model("processor : 0\nBogoMIPS : 50\n"), "");
        assert_eq!(memory_bytes("MemTotal:       24616592 kB\nMemFree: 1 kB\n"), 24_616_592 * 1024);
        assert_eq!(memory_bytes(""), 0);
    }

    #[test]
    fn this_machine_has_processors_memory_and_a_kernel() {
        let here = Machine::here();
        assert!(here.cpus > 0 && here.memory_bytes > 0 && here.kernel.starts_with("Linux "), "{here:?}");
    }
}
