//! Pins processes to cores, and measures the CPU time of processes and cores.
//!
//! The scheduler counts the time of each thread of a process in nanoseconds
//! (`/proc/PID/task/*/schedstat`). The kernel counts the time of a core in ticks of 10 ms
//! (`/proc/stat`).

use std::{collections::HashMap, ffi::OsString, fs, time::Duration};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;

/// The two cores of a measurement, which are the same if this process may use only one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) client: usize,
}

impl Cores {
    /// Two cores that this process may use, preferably not two threads of one physical core.
    pub(crate) fn choose() -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        let server = usable.next().ok_or("this process may use no core")?;
        let rest: Vec<usize> = usable.collect();
        let siblings = siblings(server);
        let apart = rest.iter().find(|cpu| !siblings.contains(cpu));
        let client = apart.or(rest.first()).copied().unwrap_or(server);
        Ok(Self { server, client })
    }
}

/// The logical cores of the physical core of `cpu`, including `cpu`.
fn siblings(cpu: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    cpu_list(fs::read_to_string(path).unwrap_or_default().trim())
}

/// Parses a list of the kernel: `0-1,4`.
fn cpu_list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// Pins this thread, and the processes that it starts afterwards, to one core.
pub(crate) fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|error| format!("core {cpu}: {error}").into())
}

/// The time that a thread, or a process, has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Time on a core.
    pub(crate) cpu_time: Duration,
    /// Time for which threads were ready to run while something else used the core. For a process
    /// it is known only if one thread used more than 95 % of the CPU time, otherwise zero: several
    /// busy threads also wait for each other.
    pub(crate) waited: Duration,
}

impl Spent {
    fn parse(text: &str) -> Option<Self> {
        let mut nanos = text.split_whitespace().map(|word| word.parse().ok());
        let mut next = || nanos.next().flatten().map(Duration::from_nanos);
        Some(Self { cpu_time: next()?, waited: next()? })
    }

    /// The difference to an earlier reading.
    fn since(self, earlier: Self) -> Self {
        Self {
            cpu_time: self.cpu_time.saturating_sub(earlier.cpu_time),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }
}

/// What each thread of a process has used since the thread started, by the thread's ID.
#[derive(Debug, Default)]
pub(crate) struct Threads(HashMap<OsString, Spent>);

impl Threads {
    /// Reads the times of a running process.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let mut threads = HashMap::new();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?;
            // A thread may end meanwhile.
            let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            let spent = Spent::parse(&text).ok_or("this kernel keeps no schedstat")?;
            threads.insert(task.file_name(), spent);
        }
        Ok(Self(threads))
    }

    /// What the process has used since an earlier reading, without threads that have ended.
    pub(crate) fn since(&self, earlier: &Self) -> Spent {
        let used = |(id, spent): (_, &Spent)| {
            spent.since(earlier.0.get::<OsString>(id).copied().unwrap_or_default())
        };
        let threads: Vec<_> = self.0.iter().map(used).collect();
        let most = threads.iter().map(|thread| thread.cpu_time).max().unwrap_or_default();
        let cpu_time: Duration = threads.iter().map(|thread| thread.cpu_time).sum();
        let waited = match most * 20 > cpu_time * 19 {
            true => threads.iter().map(|thread| thread.waited).sum(),
            false => Duration::ZERO,
        };
        Spent { cpu_time, waited }
    }
}

/// The time of one or two cores.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Busy {
    /// Time in which the cores were not idle, including the time that the hypervisor took.
    pub(crate) busy: Duration,
    /// Time that the hypervisor took.
    pub(crate) stolen: Duration,
}

impl Busy {
    /// Reads the time of the measurement's cores.
    pub(crate) fn of(cores: Cores) -> Result<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        let mut sum = Self::parse(&text, cores.server).ok_or("/proc/stat lacks the core")?;
        if cores.client != cores.server {
            let other = Self::parse(&text, cores.client).ok_or("/proc/stat lacks the core")?;
            sum.busy += other.busy;
            sum.stolen += other.stolen;
        }
        Ok(sum)
    }

    fn parse(text: &str, cpu: usize) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("cpu{cpu} ")))?;
        // user nice system idle iowait irq softirq steal
        let ticks: Vec<u64> = line.split_whitespace().flat_map(str::parse).collect();
        let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else {
            return None;
        };
        let time = |ticks: u64| Duration::from_millis(ticks * 10);
        Some(Self { busy: time(user + nice + system + irq + softirq + steal), stolen: time(steal) })
    }

    /// The difference to an earlier reading.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            busy: self.busy.saturating_sub(earlier.busy),
            stolen: self.stolen.saturating_sub(earlier.stolen),
        }
    }
}

/// How long other work disturbed a measurement. This is the largest of three measures, since none
/// finds every disturbance: the CPU time of other processes, the time for which the server waited
/// for its core, and the time that the hypervisor took.
pub(crate) fn disturbance(cores: Cores, machine: Busy, server: Spent, client: Spent) -> Duration {
    // On a core that they share, the server also waits for the client, which is no disturbance.
    let waited = if cores.server == cores.client { Duration::ZERO } else { server.waited };
    let known = server.cpu_time + client.cpu_time;
    machine.busy.saturating_sub(known).max(waited).max(machine.stolen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read_as_the_kernel_writes_them() {
        for (text, cpus) in [("0", vec![0]), ("0-2,5", vec![0, 1, 2, 5]), ("", vec![])] {
            assert_eq!(cpu_list(text), cpus, "{text}");
        }
    }

    #[test]
    fn accounts_are_read_as_the_kernel_writes_them() {
        let spent = Spent::parse("2500 40 7\n").unwrap();
        assert_eq!(spent.cpu_time, Duration::from_nanos(2500));
        assert_eq!(spent.waited, Duration::from_nanos(40));
        assert_eq!(Spent::parse(""), None);

        let text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 3 400 5 6 7 8 0 0\ncpu10 1 1 1 1 1 1 1 1\n";
        let busy = Busy::parse(text, 0).unwrap();
        assert_eq!(busy.busy, Duration::from_millis(270));
        assert_eq!(busy.stolen, Duration::from_millis(80));
        assert!(Busy::parse(text, 1).is_none());
    }

    #[test]
    fn waiting_is_known_if_one_thread_was_busy_between_the_readings() {
        let threads = |times: &[(u64, u64)]| {
            let spent = |&(cpu_time, waited): &(u64, u64)| Spent {
                cpu_time: Duration::from_nanos(cpu_time),
                waited: Duration::from_nanos(waited),
            };
            let named = times.iter().enumerate();
            Threads(named.map(|(id, times)| (id.to_string().into(), spent(times))).collect())
        };
        let since = |earlier: &[(u64, u64)], later: &[(u64, u64)]| {
            let Spent { cpu_time, waited } = threads(later).since(&threads(earlier));
            (cpu_time.as_nanos(), waited.as_nanos())
        };
        assert_eq!(since(&[], &[(2500, 40), (9, 40)]), (2509, 80));
        assert_eq!(since(&[], &[(2500, 40), (2500, 40), (9, 40)]), (5009, 0));
        // Which thread was busy before doesn't matter.
        assert_eq!(since(&[(2500, 40), (0, 7)], &[(2500, 40), (2500, 9)]), (2500, 2));
        assert_eq!(since(&[(2500, 40)], &[(3500, 45), (1000, 1)]), (2000, 0));
    }

    #[test]
    fn the_largest_measure_of_disturbance_counts() {
        let millis = Duration::from_millis;
        let spent = |cpu_time, waited| Spent { cpu_time: millis(cpu_time), waited: millis(waited) };
        let client = spent(400, 300);
        for (cores, server, [busy, stolen], expected) in [
            ([0, 1], spent(500, 20), [910, 0], 20),
            ([0, 1], spent(500, 20), [930, 0], 30),
            ([0, 1], spent(500, 20), [930, 40], 40),
            ([0, 1], spent(500, 20), [890, 0], 20),
            // While the server waits, the client uses the core.
            ([0, 0], spent(500, 400), [910, 0], 10),
            ([0, 0], spent(500, 400), [910, 40], 40),
        ] {
            let [server_core, client_core] = cores;
            let cores = Cores { server: server_core, client: client_core };
            let machine = Busy { busy: millis(busy), stolen: millis(stolen) };
            assert_eq!(disturbance(cores, machine, server, client), millis(expected));
        }
    }

    #[test]
    fn a_busy_process_uses_cpu_time() {
        let start = Threads::of(std::process::id()).unwrap();
        // The kernel updates `schedstat` within some milliseconds.
        while Threads::of(std::process::id()).unwrap().since(&start).cpu_time.is_zero() {
            std::hint::spin_loop();
        }
    }
}
