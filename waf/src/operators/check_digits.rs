//! `@verifyCC`, `@verifyCPF`, `@verifySSN`, `@verifySVNR`: numbers found by a
//! pattern whose digits must agree (ModSecurity reference manual).

use crate::regex::{LimitExceeded, Pattern, Spans};

/// Most bytes of candidates looked at in one value.
const WORK_LIMIT: usize = 1 << 22;

/// Which kind of number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckDigits {
    /// Payment cards: the Luhn sum (ISO/IEC 7812-1).
    CreditCard,
    /// Brazilian CPF: two check digits modulo 11.
    Cpf,
    /// US social security numbers: no check digit, but areas that are never given out.
    Ssn,
    /// Austrian social insurance numbers: the fourth digit is the check.
    Svnr,
}

impl CheckDigits {
    /// The first candidate of the pattern that is such a number, overlapping ones included.
    pub(crate) fn find(
        self,
        pattern: &Pattern,
        value: &[u8],
        budget: u64,
    ) -> Result<Option<(usize, usize)>, LimitExceeded> {
        let mut from = 0;
        let mut work = 0;
        while work < WORK_LIMIT {
            let mut spans = Spans::default();
            if from > value.len() || !pattern.captures(value, from, budget, &mut spans)? {
                return Ok(None);
            }
            let Some((start, end)) = spans[0] else { return Ok(None) };
            work += 64 + end - start;
            if self.is_valid(&value[start..end]) {
                return Ok(Some((start, end)));
            }
            from = start + 1;
        }
        Err(LimitExceeded)
    }

    fn is_valid(self, text: &[u8]) -> bool {
        let digits: Vec<u32> =
            text.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0')).collect();
        match self {
            CheckDigits::CreditCard => luhn(&digits),
            CheckDigits::Cpf => digits.get(..11).is_some_and(cpf),
            CheckDigits::Ssn => digits.len() == 9 && ssn(&digits),
            CheckDigits::Svnr => digits.get(..10).is_some_and(svnr),
        }
    }
}

fn luhn(digits: &[u32]) -> bool {
    let weighted = |(index, digit): (usize, &u32)| match (index % 2, digit * 2) {
        (0, _) => *digit,
        (_, double) if double > 9 => double - 9,
        (_, double) => double,
    };
    !digits.is_empty() && digits.iter().rev().enumerate().map(weighted).sum::<u32>() % 10 == 0
}

fn cpf(digits: &[u32]) -> bool {
    let check = |length: usize| {
        let weights = (2..=length as u32 + 1).rev();
        match digits[..length].iter().zip(weights).map(|(digit, weight)| digit * weight).sum::<u32>() % 11 {
            0 | 1 => 0,
            rest => 11 - rest,
        }
    };
    !is_sample(digits) && digits[9] == check(9) && digits[10] == check(10)
}

fn ssn(digits: &[u32]) -> bool {
    let number = |digits: &[u32]| digits.iter().fold(0, |number, digit| number * 10 + digit);
    let (area, group, serial) = (number(&digits[..3]), number(&digits[3..5]), number(&digits[5..]));
    let rising = digits.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    let same = digits.windows(2).all(|pair| pair[0] == pair[1]);
    !rising && !same && area != 0 && group != 0 && serial != 0 && area < 740 && area != 666
}

fn svnr(digits: &[u32]) -> bool {
    const WEIGHTS: [u32; 10] = [3, 7, 9, 0, 5, 8, 4, 2, 1, 6];
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| digit * weight).sum();
    !is_sample(digits) && sum % 11 % 10 == digits[3]
}

/// All digits the same, or counting up: what people type into forms to try them.
fn is_sample(digits: &[u32]) -> bool {
    digits.windows(2).all(|pair| pair[0] == pair[1])
        || (digits[0] <= 1 && digits.windows(2).all(|pair| (pair[0] + 1) % 10 == pair[1]))
}

#[cfg(test)]
mod tests {
    use super::CheckDigits::{self, *};
    use crate::regex::{Flags, Pattern};

    fn found(kind: CheckDigits, pattern: &str, value: &str) -> bool {
        let pattern = Pattern::new(pattern.as_bytes(), Flags::default()).unwrap();
        kind.find(&pattern, value.as_bytes(), 1000).unwrap().is_some()
    }

    #[test]
    fn numbers() {
        assert!(found(CreditCard, r"\d{13,16}", "card 4111111111111111!"));
        assert!(!found(CreditCard, r"\b\d{16}\b", "card 4111111111111112!"));
        assert!(found(Cpf, r"[0-9.]{11}-[0-9]{2}", "a 010.817.514-60 b"));
        assert!(!found(Cpf, r"[0-9.]{11}-[0-9]{2}", "111.111.111-11"));
        assert!(found(Ssn, r"\d{3}-\d{2}-\d{4}", "574-57-8065"));
        assert!(!found(Ssn, r"\d{3}-\d{2}-\d{4}", "800-57-8065"));
        assert!(found(Svnr, r"\d{4} ?\d{6}", "1237 010180"));
        assert!(!found(Svnr, r"\d{4} ?\d{6}", "1238 010180"));
    }
}
