//! CPU time of processes, from `/proc/PID/stat` (proc_pid_stat(5)), which counts in ticks of 10 ms.

use std::fs;
use std::time::Duration;

/// Linux has shown user space 100 ticks a second on every platform since 2.6.
const TICK: Duration = Duration::from_millis(10);

/// User and system time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// Spent in the process.
    pub user: Duration,
    /// Spent in the kernel for it.
    pub system: Duration,
}

/// Times of each group of processes, this process first as `self`. A process that is gone counts zero.
pub(super) fn read_all(groups: &[(String, Vec<u32>)]) -> Vec<(String, CpuTimes)> {
    let own = ("self".to_owned(), read("self"));
    let others = groups.iter().map(|(name, pids)| {
        let times = pids.iter().map(|pid| read(&pid.to_string()));
        let sum = times.fold(CpuTimes::default(), |sum, times| CpuTimes {
            user: sum.user + times.user,
            system: sum.system + times.system,
        });
        (name.clone(), sum)
    });
    std::iter::once(own).chain(others).collect()
}

/// What passed between two readings of the same groups.
pub(super) fn differences(
    before: Vec<(String, CpuTimes)>,
    after: Vec<(String, CpuTimes)>,
) -> Vec<(String, CpuTimes)> {
    let pairs = before.into_iter().zip(after);
    pairs
        .map(|((name, before), (_, after))| {
            let user = after.user.saturating_sub(before.user);
            (name, CpuTimes { user, system: after.system.saturating_sub(before.system) })
        })
        .collect()
}

fn read(pid: &str) -> CpuTimes {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|stat| parse(&stat)).unwrap_or_default()
}

fn parse(stat: &str) -> Option<CpuTimes> {
    // The command name may hold anything, parentheses too; fields are counted after its last one.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(|field| field.parse::<u32>().ok());
    Some(CpuTimes { user: TICK * fields.next()??, system: TICK * fields.next()?? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_the_command_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 25 4 0 0 20 0 1 0 100 0 0";
        let times = CpuTimes { user: Duration::from_millis(250), system: Duration::from_millis(40) };
        assert_eq!(parse(stat), Some(times));
        assert_eq!(parse("nonsense"), None);
    }
}
