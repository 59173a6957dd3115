//! What processes have used, as proc(5) tells it.

use std::fs;
use std::ops::Sub;
use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};

/// Core time, disk and memory of a process and all below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a core, in the kernel too, of those below it that have ended as well.
    pub cpu: Duration,
    /// Bytes handed to the disk.
    pub written: u64,
    /// Bytes of memory in use now.
    pub resident: u64,
}

impl Usage {
    /// The usage of these processes and of their children.
    pub fn of(roots: &[u32]) -> Self {
        let family =
            processes().into_iter().filter(|stat| roots.contains(&stat.id) || roots.contains(&stat.parent));
        family.fold(Self::default(), |sum, stat| Self {
            cpu: sum.cpu + stat.cpu,
            written: sum.written + written(stat.id),
            resident: sum.resident + stat.resident,
        })
    }
}

impl Sub for Usage {
    type Output = Self;

    /// What was used since; memory given back counts as none.
    fn sub(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            written: self.written.saturating_sub(earlier.written),
            resident: self.resident.saturating_sub(earlier.resident),
        }
    }
}

/// What all cores of the machine did.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Time that they worked, or would have if another machine had not had them.
    pub busy: Duration,
    /// All the time there was.
    pub all: Duration,
}

impl Sub for Machine {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { busy: self.busy.saturating_sub(earlier.busy), all: self.all.saturating_sub(earlier.all) }
    }
}

/// What all cores have done since the machine was started.
///
/// # Errors
/// If `/proc/stat` cannot be read.
pub fn machine_cpu() -> std::io::Result<Machine> {
    Ok(machine(&fs::read_to_string("/proc/stat")?))
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal; what follows is part of these.
fn machine(stat: &str) -> Machine {
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).take(8).filter_map(|ticks| ticks.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    let time = |ticks: u64| Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64);
    Machine { busy: time(all - idle), all: time(all) }
}

struct Stat {
    id: u32,
    parent: u32,
    cpu: Duration,
    resident: u64,
}

fn processes() -> Vec<Stat> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<u32>().ok());
    // A process may end while the others are looked at.
    ids.filter_map(|id| stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)).collect()
}

/// A line of `/proc/PID/stat`. The name stands in parentheses and may hold some itself.
fn stat(line: &str) -> Option<Stat> {
    let id = line.split(' ').next()?.parse().ok()?;
    // The rest begins with the third field.
    let rest: Vec<&str> = line.rsplit_once(") ")?.1.split(' ').collect();
    let field = |number: usize| rest.get(number - 3)?.parse::<u64>().ok();
    // utime, stime, and both of the children that have ended.
    let ticks = field(14)? + field(15)? + field(16)? + field(17)?;
    Some(Stat {
        id,
        parent: u32::try_from(field(4)?).ok()?,
        cpu: Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64),
        resident: field(24)? * page_size() as u64,
    })
}

fn written(process: u32) -> u64 {
    write_bytes(&fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default())
}

fn write_bytes(io: &str) -> u64 {
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_stat_with_parentheses_in_its_name_is_read() {
        let line = "77 (a) (b c) S 5 77 77 0 -1 4194560 1 0 0 0 30 20 7 3 20 0 1 0 100 9 11 184 0 0";
        let stat = stat(line).unwrap();
        assert_eq!((stat.id, stat.parent), (77, 5));
        assert_eq!(stat.cpu, Duration::from_secs_f64(60.0 / clock_ticks_per_second() as f64));
        assert_eq!(stat.resident, 11 * page_size() as u64);
    }

    #[test]
    fn waiting_is_not_working() {
        let machine = machine("cpu  10 1 5 100 20 1 2 3 7 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n");
        let tick = Duration::from_secs(1) / clock_ticks_per_second() as u32;
        assert_eq!((machine.busy, machine.all), (22 * tick, 142 * tick));
    }

    #[test]
    fn written_bytes_are_read() {
        assert_eq!(write_bytes("rchar: 1\nwrite_bytes: 8192\ncancelled_write_bytes: 5\n"), 8192);
        assert_eq!(write_bytes(""), 0);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(Usage::of(&[std::process::id()]).resident > 0);
    }
}
