//! Who may use which core: a server and its load generator on one machine take time from each other, and the more is
//! sent the less is served, whatever the server does about it.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of this process, divided between a server and all else.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    server: CpuSet,
    others: CpuSet,
}

impl Cores {
    /// The generator has one thread, and so the last core; the server has the others. A lone core is shared.
    ///
    /// # Errors
    /// If the kernel does not tell which cores there are.
    pub fn divide() -> io::Result<Self> {
        Ok(Self::of(&sched_getaffinity(None)?))
    }

    fn of(all: &CpuSet) -> Self {
        let (mut server, mut others) = (*all, *all);
        let last = (0..CpuSet::MAX_CPU).rev().find(|core| all.is_set(*core));
        if let Some(last) = last
            && all.count() > 1
        {
            server.unset(last);
            others.clear();
            others.set(last);
        }
        Self { server, others }
    }

    /// How many the server has.
    pub fn of_server(&self) -> u32 {
        self.server.count()
    }

    /// Starts something on the server's cores, whose threads and processes stay there; this thread, and what it starts
    /// from now on, has the others.
    ///
    /// # Errors
    /// If the kernel does not move this thread.
    pub fn start<T>(&self, server: impl FnOnce() -> T) -> io::Result<T> {
        sched_setaffinity(None, &self.server)?;
        let started = server();
        sched_setaffinity(None, &self.others)?;
        Ok(started)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn set(cores: &[usize]) -> CpuSet {
        let mut set = CpuSet::new();
        cores.iter().for_each(|core| set.set(*core));
        set
    }

    #[test]
    fn the_generator_has_the_last_core_and_the_server_the_others() {
        let divided = Cores::of(&set(&[1, 4, 9]));
        assert_eq!((divided.server, divided.others), (set(&[1, 4]), set(&[9])));
        let alone = Cores::of(&set(&[3]));
        assert_eq!((alone.server, alone.others), (set(&[3]), set(&[3])));
    }

    #[test]
    fn what_is_started_stays_on_the_servers_cores() {
        let divided = Cores::divide().unwrap();
        let here = || sched_getaffinity(None).unwrap();
        let there = divided.start(here).unwrap();
        assert_eq!((there, here()), (divided.server, divided.others));
        assert_eq!(std::thread::spawn(here).join().unwrap(), divided.others);
    }
}
