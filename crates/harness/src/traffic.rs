//! Bytes that arrive for the agent. A model that thinks for long sends them, a word or a heartbeat, while its agent prints
//! nothing and uses no processor; a connection that is dead does not, however open it looks.
//!
//! The kernel counts them for each TCP connection (sock_diag(7), no privilege needed); which connections are the agent's
//! say the open files of its processes.

use std::{
    collections::HashSet,
    fs,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::{
    errno::Errno,
    libc::{AF_INET, AF_INET6},
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
            sockopt::ReceiveTimeout,
        },
        time::{TimeVal, TimeValLike as _},
    },
};

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ENDS: [u16; 2] = [2, 3];
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// `INET_DIAG_INFO`: the attribute that holds a `tcp_info`.
const INFO: u16 = 2;
/// Of a netlink message's header.
const HEADER: usize = 16;
/// Of an `inet_diag_msg`, and where its inode stands.
const MESSAGE: usize = 72;
const INODE: usize = 68;
/// Where `tcpi_bytes_received` stands in a `tcp_info` (since Linux 4.1).
const RECEIVED: usize = 128;
/// A machine has not more of them than these answers hold.
const ANSWERS: usize = 4096;

/// Bytes that have arrived over the connections that these processes hold now; none where the kernel does not say.
#[must_use]
pub fn arrived(pids: &[i32]) -> Option<u64> {
    let ours: HashSet<u32> = pids.iter().copied().flat_map(sockets).collect();
    if ours.is_empty() {
        return Some(0);
    }
    let mut sum = 0_u64;
    for family in [AF_INET, AF_INET6] {
        let family = u8::try_from(family).ok()?;
        each_connection(family, |inode, bytes| {
            if ours.contains(&inode) {
                sum = sum.saturating_add(bytes);
            }
        })
        .inspect_err(|e| tracing::debug!("the kernel does not say what arrives: {e}"))
        .ok()?;
    }
    Some(sum)
}

/// Inodes of a process' sockets. One that ended meanwhile has none.
fn sockets(pid: i32) -> Vec<u32> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = files.filter_map(|f| fs::read_link(f.path()).ok());
    targets
        .filter_map(|t| t.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}

fn each_connection(family: u8, mut tell: impl FnMut(u32, u64)) -> Result<(), Errno> {
    let line: OwnedFd = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    setsockopt(&line, ReceiveTimeout, &TimeVal::seconds(1))?;
    let fd = line.as_raw_fd();
    sendto(fd, &request(family), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = vec![0; 64 * 1024];
    for _ in 0..ANSWERS {
        let length = recv(fd, &mut answer, MsgFlags::empty())?;
        if read(answer.get(..length).unwrap_or_default(), &mut tell) {
            return Ok(());
        }
    }
    Ok(())
}

/// All connections of a family, with what the kernel knows of each.
fn request(family: u8) -> Vec<u8> {
    let mut text = Vec::with_capacity(HEADER + 56);
    text.extend(72_u32.to_ne_bytes());
    text.extend(BY_FAMILY.to_ne_bytes());
    text.extend(DUMP.to_ne_bytes());
    text.extend([0; 8]);
    text.extend([family, TCP, 1 << (INFO - 1), 0]);
    // In any state, and of any address.
    text.extend(u32::MAX.to_ne_bytes());
    text.extend([0; 48]);
    text
}

/// Reads one answer, which holds many messages; true at the last.
fn read(mut answer: &[u8], tell: &mut impl FnMut(u32, u64)) -> bool {
    while let (Some(length), Some(kind)) = (number::<4>(answer, 0), number::<2>(answer, 4)) {
        let length = usize::try_from(u32::from_ne_bytes(length)).unwrap_or(usize::MAX);
        if ENDS.contains(&u16::from_ne_bytes(kind)) {
            return true;
        }
        // What makes no sense is the end: no answer is worth a loop.
        let Some(message) = answer.get(HEADER..length) else {
            return true;
        };
        if let (Some(inode), Some(bytes)) = (number::<4>(message, INODE), received(message.get(MESSAGE..))) {
            tell(u32::from_ne_bytes(inode), bytes);
        }
        answer = answer.get(aligned(length)..).unwrap_or_default();
    }
    false
}

/// The count in a connection's attributes.
fn received(attributes: Option<&[u8]>) -> Option<u64> {
    let mut rest = attributes?;
    loop {
        let length = usize::from(u16::from_ne_bytes(number(rest, 0)?));
        if u16::from_ne_bytes(number(rest, 2)?) == INFO {
            return Some(u64::from_ne_bytes(number(rest.get(4..length)?, RECEIVED)?));
        }
        rest = rest.get(aligned(length).max(4)..)?;
    }
}

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn the_kernel_counts_what_arrives_on_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let link = format!("/proc/self/fd/{}", near.as_raw_fd());
        let inode = u32::try_from(fs::metadata(link).unwrap().ino()).unwrap();
        let count = || {
            let mut found = None;
            let told = each_connection(AF_INET as u8, |i, bytes| {
                if i == inode {
                    found = Some(bytes);
                }
            });
            told.unwrap();
            found.unwrap()
        };
        assert_eq!(count(), 0);
        far.write_all(b"ping").unwrap();
        near.read_exact(&mut [0; 4]).unwrap();
        assert_eq!(count(), 4);
        near.write_all(b"what goes out is no answer").unwrap();
        assert_eq!(count(), 4);
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_the_end_of_it() {
        let mut told = 0;
        let mut tell = |_, _| told += 1;
        assert!(!read(&[], &mut tell));
        assert!(!read(&[1, 2, 3], &mut tell));
        for length in [0_u32, 7, 15, 5000, u32::MAX] {
            let mut answer = length.to_ne_bytes().to_vec();
            answer.extend([20, 0, 0, 0]);
            answer.extend([0; 100]);
            assert!(read(&answer, &mut tell), "{length}");
        }
        assert_eq!(told, 0);
        // Attributes that claim to be longer than they are, or shorter than their own head.
        assert_eq!(received(Some(&[200, 0, 2, 0, 1, 2])), None);
        assert_eq!(received(Some(&[0, 0, 9, 0])), None);
    }
}
