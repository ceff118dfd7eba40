//! The cookie of ours that names an instance (`sticky`): it says nothing of who asks, and is none of the application's.

use bytes::Bytes;

use crate::headers::{Headers, is_name};

/// What stands behind the instance in our `Set-Cookie`.
const ATTRIBUTES: &[u8] = b"; Path=/; HttpOnly; SameSite=Lax";
/// Digits that name an instance.
const DIGITS: usize = 16;

/// Takes our cookie out of the header of an answer; the answer's own cookies stay.
pub fn take_set_cookie(headers: &mut Headers, name: &str) -> Option<Bytes> {
    // It was added behind those of the answer.
    let last = headers.all("set-cookie").last().filter(|value| is_ours(value, name)).cloned()?;
    headers.retain(|field| !(is_name(&field.name, "set-cookie") && field.value == last));
    Some(last)
}

fn is_ours(value: &[u8], name: &str) -> bool {
    let instance = value.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
    instance.and_then(|rest| rest.split_at_checked(DIGITS)).is_some_and(|(digits, attributes)| {
        digits.iter().all(u8::is_ascii_hexdigit) && attributes.starts_with(ATTRIBUTES)
    })
}

/// Takes our cookie out of the header of a request.
pub fn remove_cookie(headers: &mut Headers, name: &str) {
    let ours = |pair: &[u8]| {
        let rest = pair.trim_ascii().strip_prefix(name.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"="))
    };
    let pairs = |value: &Bytes| -> Vec<Vec<u8>> {
        value.split(|byte| *byte == b';').map(|pair| pair.trim_ascii().to_vec()).collect()
    };
    if !headers.all("cookie").any(|value| pairs(value).iter().any(|pair| ours(pair))) {
        return;
    }
    let others: Vec<Vec<u8>> =
        headers.all("cookie").flat_map(pairs).filter(|pair| !pair.is_empty() && !ours(pair)).collect();
    headers.remove("cookie");
    if !others.is_empty() {
        headers.push("cookie", others.join(&b"; "[..]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &'static str, values: &[&'static str]) -> Headers {
        let mut headers = Headers::default();
        values.iter().for_each(|value| headers.push(name, *value));
        headers
    }

    fn shown(headers: &Headers) -> Vec<String> {
        headers.iter().map(|field| String::from_utf8(field.value.to_vec()).unwrap()).collect()
    }

    #[test]
    fn our_cookie_goes_and_the_others_stay() {
        for (sent, left) in [
            (&["seat=1"][..], &[][..]),
            (&["a=1; seat=1;b=2"], &["a=1; b=2"]),
            (&["a=1", "seat=1"], &["a=1"]),
            (&["myseat=1; seats=2"], &["myseat=1; seats=2"]),
        ] {
            let mut headers = header("Cookie", sent);
            remove_cookie(&mut headers, "seat");
            assert_eq!(shown(&headers), left, "{sent:?}");
        }
    }

    #[test]
    fn only_a_cookie_of_our_making_is_taken_from_an_answer() {
        let ours = "seat=00112233445566ff; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60";
        for (answer, taken, left) in [
            (&["id=1", ours][..], true, &["id=1"][..]),
            (&[ours], true, &[]),
            (&["seat=mine; Path=/"], false, &["seat=mine; Path=/"]),
            (&["seat=00112233445566ff"], false, &["seat=00112233445566ff"]),
            (&[], false, &[]),
        ] {
            let mut headers = header("set-cookie", answer);
            assert_eq!(take_set_cookie(&mut headers, "seat").is_some(), taken, "{answer:?}");
            assert_eq!(shown(&headers), left, "{answer:?}");
        }
    }
}
