//! Wakes a thread that waits for its sockets, to the microsecond. `epoll` by itself counts milliseconds.

use mio::{Registry, Token};
use std::{io, time::Duration};

/// Nanoseconds from the moment it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(std::time::Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Nanoseconds; 584 years until it wraps.
    pub(crate) fn now(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) use elsewhere::Alarm;
#[cfg(target_os = "linux")]
pub(crate) use linux::Alarm;

#[cfg(target_os = "linux")]
mod linux {
    use super::{Duration, Registry, Token, io};
    use mio::{Interest, unix::SourceFd};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use std::os::fd::{AsRawFd, OwnedFd};

    /// A timer among the sockets.
    pub(crate) struct Alarm {
        timer: OwnedFd,
        /// When it rings. None: it is not set.
        set: Option<u64>,
    }

    impl Alarm {
        pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Self { timer, set: None })
        }

        /// Rings at `at`, if that is ahead. Returns how long to wait for the sockets at most.
        pub(crate) fn set(&mut self, now: u64, at: u64, most: Duration) -> io::Result<Duration> {
            if at <= now {
                return Ok(Duration::ZERO);
            }
            let wait = Duration::from_nanos(at - now);
            if wait >= most {
                return Ok(most);
            }
            if self.set != Some(at) {
                let value = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
                let once = Itimerspec { it_interval: Timespec::default(), it_value: value };
                timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
                self.set = Some(at);
            }
            Ok(most)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use super::{Duration, Registry, Token, io};

    /// As precise as waiting for the sockets is: a millisecond.
    pub(crate) struct Alarm;

    impl Alarm {
        pub(crate) fn new(_: &Registry, _: Token) -> io::Result<Self> {
            Ok(Self)
        }

        /// How long to wait for the sockets at most, so that `at` is not missed.
        pub(crate) fn set(&mut self, now: u64, at: u64, most: Duration) -> io::Result<Duration> {
            Ok(most.min(Duration::from_nanos(at.saturating_sub(now))))
        }
    }
}
