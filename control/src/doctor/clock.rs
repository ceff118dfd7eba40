//! The clock: certificates, bans and records depend on it.
//!
//! Without a network it is compared with what is known to lie in the past; with one, also with a time server (SNTP,
//! RFC 4330).

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Finding;

/// Who is asked unless somebody else is named.
pub const TIME_SERVER: &str = "pool.ntp.org";
/// The port of the protocol.
const PORT: u16 = 123;
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(2);
/// Seconds from 1900 to 1970.
const EPOCHS_APART: u64 = 2_208_988_800;
/// Offsets beyond these are told: certificates become invalid or look so.
const LARGE: f64 = 5.0;
const TOO_LARGE: f64 = 300.0;

/// What is known about the clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    /// What it says.
    pub now: SystemTime,
    /// The latest moment that is known to have passed: of the executable, of the newest record.
    pub known_past: SystemTime,
    /// Seconds that it is ahead of a time server; negative behind; `None` when none answered.
    pub offset: Option<f64>,
}

impl Clock {
    /// What that means.
    pub fn finding(&self) -> Finding {
        let hint = "install a time service: apt install systemd-timesyncd, then timedatectl set-ntp true";
        // Times of files are rounded.
        if self.now + Duration::from_secs(2) < self.known_past {
            let behind = self.known_past.duration_since(self.now).unwrap_or_default().as_secs();
            return Finding::fail("clock", format!("the clock is at least {behind} s behind"))
                .cause("something was recorded later than the clock shows now")
                .hint(hint);
        }
        match self.offset {
            None => Finding::ok("clock", "the clock is later than all records; no time server answered"),
            Some(offset) => {
                let side = if offset < 0.0 { "behind" } else { "ahead" };
                let message = format!("the clock is {:.1} s {side}", offset.abs());
                match offset.abs() {
                    size if size > TOO_LARGE => Finding::fail("clock", message)
                        .cause("certificates look expired or not valid yet")
                        .hint(hint),
                    size if size > LARGE => Finding::warn("clock", message).hint(hint),
                    _ => Finding::ok("clock", message),
                }
            }
        }
    }
}

/// How many seconds our clock is ahead of the server's (RFC 4330 section 5); `None` when it does not answer in time.
/// `server` is a host or `host:port`. Blocks for some seconds at most, but for what resolving the name takes.
pub fn offset(server: &str) -> Option<f64> {
    offset_within(server, LIMIT)
}

fn offset_within(server: &str, limit: Duration) -> Option<f64> {
    let address = std::net::ToSocketAddrs::to_socket_addrs(&with_port(server)).ok()?.next()?;
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.set_read_timeout(Some(limit)).ok()?;
    socket.connect(address).ok()?;
    // Version 4, client; our own time is sent so that an answer to something else is told apart.
    let mut request = [0; 48];
    request[0] = 0x23;
    let sent = SystemTime::now();
    request[40..].copy_from_slice(&timestamp(sent).to_be_bytes());
    socket.send(&request).ok()?;
    let mut answer = [0; 48];
    let count = socket.recv(&mut answer).ok()?;
    let arrived = SystemTime::now();
    let at = |place: usize| answer[place..place + 8].try_into().ok().map(u64::from_be_bytes);
    let is_answer = count == 48 && answer[0] & 7 == 4 && answer[1] != 0 && at(24)? == timestamp(sent);
    if !is_answer {
        return None;
    }
    let (server_received, server_sent) = (seconds(at(32)?), seconds(at(40)?));
    let (sent, arrived) = (seconds(timestamp(sent)), seconds(timestamp(arrived)));
    Some(((sent - server_received) + (arrived - server_sent)) / 2.0)
}

/// The address with the protocol's port, unless it has one.
fn with_port(server: &str) -> String {
    let bare = server.strip_prefix('[').and_then(|server| server.strip_suffix(']')).unwrap_or(server);
    match bare.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, PORT).to_string(),
        Err(_) if server.contains(':') => server.to_owned(),
        Err(_) => format!("{server}:{PORT}"),
    }
}

/// Seconds since 1900 and their fractions, 32 bits each.
fn timestamp(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    ((since.as_secs() + EPOCHS_APART) << 32) | fraction
}

/// Seconds since 1970. The counter runs over in 2036 (RFC 4330 section 3): what lies before 1968 is of the next era.
fn seconds(timestamp: u64) -> f64 {
    let era = if timestamp >> 63 == 0 { 1_u64 << 32 } else { 0 };
    let whole = (timestamp >> 32) + era;
    whole as f64 - EPOCHS_APART as f64 + (timestamp & 0xFFFF_FFFF) as f64 / (1_u64 << 32) as f64
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    /// Longest wait for an answer that comes.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_clock_that_is_wrong_is_told() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let cases = [
            (-1, None, State::Ok),
            (-1, Some(0.3), State::Ok),
            (-1, Some(-20.0), State::Warn),
            (-1, Some(4000.0), State::Fail),
            (60, None, State::Fail),
            (60, Some(0.0), State::Fail),
        ];
        for (known, offset, state) in cases {
            let known_past = UNIX_EPOCH + Duration::from_secs(1_800_000_000_u64.saturating_add_signed(known));
            let finding = Clock { now, known_past, offset }.finding();
            assert_eq!(finding.state, state, "{finding:?}");
        }
    }

    #[test]
    fn a_time_server_is_asked() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        let answering = std::thread::spawn(move || {
            for ahead in [100_u64, 0] {
                let mut request = [0; 48];
                let (_, client) = server.recv_from(&mut request).unwrap();
                let time = (timestamp(SystemTime::now()) + (ahead << 32)).to_be_bytes();
                let mut answer = [0; 48];
                (answer[0], answer[1]) = (0x24, 1);
                answer[24..32].copy_from_slice(&request[40..48]);
                answer[32..40].copy_from_slice(&time);
                answer[40..48].copy_from_slice(&time);
                if ahead == 0 {
                    answer[24] ^= 1;
                }
                server.send_to(&answer, client).unwrap();
            }
        });
        let found = offset_within(&address, PATIENCE).unwrap();
        assert!((found + 100.0).abs() < 30.0, "{found}");
        assert_eq!(offset_within(&address, PATIENCE), None, "an answer to somebody else's question");
        answering.join().unwrap();
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(offset(&silent.local_addr().unwrap().to_string()), None);
    }

    #[test]
    fn a_server_may_be_an_address_with_or_without_a_port() {
        for (written, asked) in [
            ("pool.ntp.org", "pool.ntp.org:123"),
            ("ntp.test:1123", "ntp.test:1123"),
            ("192.0.2.1", "192.0.2.1:123"),
            ("192.0.2.1:5", "192.0.2.1:5"),
            ("2001:db8::1", "[2001:db8::1]:123"),
            ("[2001:db8::1]", "[2001:db8::1]:123"),
            ("[2001:db8::1]:5", "[2001:db8::1]:5"),
        ] {
            assert_eq!(with_port(written), asked);
        }
    }

    #[test]
    fn timestamps_are_read_back() {
        let time = UNIX_EPOCH + Duration::from_millis(1_800_000_000_250);
        assert!((seconds(timestamp(time)) - 1_800_000_000.25).abs() < 1e-3);
        let next_era = UNIX_EPOCH + Duration::from_secs(2_200_000_000);
        assert!((seconds(timestamp(next_era)) - 2_200_000_000.0).abs() < 1e-3);
    }
}
