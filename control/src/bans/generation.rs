//! The generation of the kernel's packet filter: a number that grows by one with each transaction on it, whoever makes it.
//! The question for it costs a few microseconds, so that it can be asked often whether somebody else changed something.
//! (`NFT_MSG_GETGEN` of `linux/netfilter/nf_tables.h`, in the frame of `linux/netlink.h`.)

use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN`, and `…_NEWGEN` for the answer.
const ASK: u16 = 10 << 8 | 16;
const ANSWER: u16 = 10 << 8 | 15;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NFTA_GEN_ID`.
const ID: u16 = 1;
/// Bytes of the header, with that of netfilter behind it.
const HEADER: usize = 20;

/// The generation now; `None` where the kernel does not tell, as without the right to change the packet filter.
pub fn generation() -> Option<u32> {
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(NETFILTER)).ok()?;
    sendto(&socket, &question(), SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).ok()?;
    let mut answer = [0; 512];
    // The kernel answers while it is asked.
    let (length, _) = recv(&socket, &mut answer, RecvFlags::DONTWAIT).ok()?;
    told(answer.get(..length)?)
}

fn question() -> Vec<u8> {
    let mut text = Vec::with_capacity(HEADER);
    text.extend((HEADER as u32).to_ne_bytes());
    text.extend(ASK.to_ne_bytes());
    text.extend(REQUEST.to_ne_bytes());
    // Sequence, port, and the header of netfilter: any family, version 0.
    text.resize(HEADER, 0);
    text
}

/// The number in an answer.
fn told(answer: &[u8]) -> Option<u32> {
    let number = |at: usize| Some(u16::from_ne_bytes(*answer.get(at..)?.first_chunk()?));
    if number(4)? != ANSWER {
        return None;
    }
    let mut at = HEADER;
    loop {
        let (length, kind) = (usize::from(number(at)?), number(at + 2)?);
        if kind == ID && length == 8 {
            return Some(u32::from_be_bytes(*answer.get(at + 4..)?.first_chunk()?));
        }
        // Attributes are aligned; one has its header at least.
        at += length.max(4).next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_others_are_none() {
        let mut answer = question();
        answer[4..6].copy_from_slice(&ANSWER.to_ne_bytes());
        let attribute = |kind: u16, value: &[u8]| {
            let length = u16::try_from(4 + value.len()).unwrap();
            let padding = vec![0; value.len().next_multiple_of(4) - value.len()];
            [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value, &padding].concat()
        };
        answer.extend(attribute(3, b"nft!x"));
        assert_eq!(told(&answer), None);
        answer.extend(attribute(ID, &[0, 1, 2, 3]));
        assert_eq!(told(&answer), Some(0x0001_0203));
        (0..answer.len()).for_each(|end| assert_eq!(told(&answer[..end]), None, "{end}"));
        let mut refused = answer;
        refused[4..6].copy_from_slice(&2_u16.to_ne_bytes());
        assert_eq!(told(&refused), None);
        assert_eq!(told(&[0; 512]), None);
    }
}
