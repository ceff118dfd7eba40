//! The `Date` of answers (RFC 9110 section 6.6.1): put into words once a second, not once an answer.

use std::cell::Cell;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A date as `Date` has it, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub type HttpDate = [u8; 29];

thread_local! {
    /// The second since 1970 that was written last, and what was written.
    static LAST: Cell<(u64, HttpDate)> = const { Cell::new((u64::MAX, [0; 29])) };
}

/// The date of this moment. A clock that is out of the ordinary counts as that of 1970.
pub fn http_date(now: SystemTime) -> HttpDate {
    // The words have room for years of four digits.
    const END: u64 = 253_402_300_800;
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let second = if second < END { second } else { 0 };
    let (last, date) = LAST.get();
    if last == second {
        return date;
    }
    let mut date = [b' '; 29];
    // It is exactly as long.
    let _ = write!(&mut date[..], "{}", httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(second)));
    LAST.set((second, date));
    date
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_has_its_words() {
        let at = |seconds: u64, nanoseconds| {
            let date = http_date(UNIX_EPOCH + Duration::new(seconds, nanoseconds));
            String::from_utf8(date.to_vec()).unwrap()
        };
        assert_eq!(at(784_111_777, 0), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(784_111_777, 999_999_999), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(784_111_778, 0), "Sun, 06 Nov 1994 08:49:38 GMT");
        for odd in
            [UNIX_EPOCH, UNIX_EPOCH - Duration::from_secs(1), UNIX_EPOCH + Duration::from_secs(1 << 40)]
        {
            assert_eq!(&http_date(odd), b"Thu, 01 Jan 1970 00:00:00 GMT");
        }
        assert_eq!(at(253_402_300_799, 0), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
