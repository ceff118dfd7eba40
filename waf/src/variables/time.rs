//! `TIME…` variables, in UTC: the engine knows no time zone.

use std::time::Duration;

use hop3_seclang::ast::Variable;

/// The value of a time variable at a moment since the epoch.
pub(super) fn value(variable: Variable, at: Duration) -> Option<String> {
    let seconds = at.as_secs();
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let (year, month, day) = civil(days as i64);
    Some(match variable {
        Variable::Time => format!("{hour:02}:{minute:02}:{second:02}"),
        Variable::TimeEpoch => seconds.to_string(),
        Variable::TimeYear => year.to_string(),
        // As in C's `struct tm`: months and days of the week count from 0.
        Variable::TimeMon => (month - 1).to_string(),
        Variable::TimeDay => day.to_string(),
        Variable::TimeWday => ((days + 4) % 7).to_string(),
        Variable::TimeHour => hour.to_string(),
        Variable::TimeMin => minute.to_string(),
        Variable::TimeSec => second.to_string(),
        _ => return None,
    })
}

/// Names of days and months in logs.
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `14/Nov/2023:22:13:20 +0000`, as in the common log format.
pub(crate) fn common_log(at: Duration) -> String {
    let (year, month, day, clock) = parts(at);
    format!("{day:02}/{month}/{year}:{clock} +0000")
}

/// `20231114` and `221320`, as names of files have them.
pub(crate) fn compact(at: Duration) -> (String, String) {
    let (year, month, day) = civil((at.as_secs() / 86_400) as i64);
    let of_day = at.as_secs() % 86_400;
    let clock = format!("{:02}{:02}{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60);
    (format!("{year:04}{month:02}{day:02}"), clock)
}

/// `Tue Nov 14 22:13:20 2023`, as C's `asctime` writes it.
pub(crate) fn asctime(at: Duration) -> String {
    let (year, month, day, clock) = parts(at);
    let weekday = DAYS[((at.as_secs() / 86_400 + 4) % 7) as usize];
    format!("{weekday} {month} {day:2} {clock} {year}")
}

fn parts(at: Duration) -> (i64, &'static str, i64, String) {
    let (year, month, day) = civil((at.as_secs() / 86_400) as i64);
    let of_day = at.as_secs() % 86_400;
    let clock = format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60);
    (year, MONTHS.get((month - 1) as usize).copied().unwrap_or_default(), day, clock)
}

/// Year, month and day of a number of days since the epoch (proleptic
/// Gregorian calendar; the era method).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_day() {
        // 2024-02-29 12:34:56 UTC, a Thursday.
        let at = Duration::from_secs(1_709_210_096);
        let expected = [
            (Variable::Time, "12:34:56"),
            (Variable::TimeYear, "2024"),
            (Variable::TimeMon, "1"),
            (Variable::TimeDay, "29"),
            (Variable::TimeWday, "4"),
            (Variable::TimeEpoch, "1709210096"),
        ];
        for (variable, text) in expected {
            assert_eq!(value(variable, at).as_deref(), Some(text), "{variable}");
        }
        assert_eq!(common_log(at), "29/Feb/2024:12:34:56 +0000");
        assert_eq!(compact(at), ("20240229".to_owned(), "123456".to_owned()));
        assert_eq!(asctime(at), "Thu Feb 29 12:34:56 2024");
        assert_eq!(asctime(Duration::ZERO), "Thu Jan  1 00:00:00 1970");
        assert_eq!(value(Variable::TimeDay, Duration::ZERO).as_deref(), Some("1"));
    }
}
