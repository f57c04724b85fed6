//! How many datagrams the kernel has dropped because a socket's buffer was full.

use std::{collections::HashMap, fs, os::fd::AsRawFd};

use tokio::net::UdpSocket;

/// The number by which `/proc` knows a socket; none where there is no such thing.
pub fn inode(socket: &UdpSocket) -> Option<u64> {
    let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok()?;
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Counts since the sockets were opened, by inode.
pub fn counts() -> HashMap<u64, u64> {
    let read = |file: &str| fs::read_to_string(format!("/proc/self/net/{file}")).unwrap_or_default();
    let mut all = of_table(&read("udp"));
    all.extend(of_table(&read("udp6")));
    all
}

fn of_table(table: &str) -> HashMap<u64, u64> {
    let entry = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        Some((columns.get(9)?.parse().ok()?, columns.last()?.parse().ok()?))
    };
    table.lines().skip(1).filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_counts_what_was_dropped() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             \x20 1021: 0100007F:158A 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4711 2 0000000000000000 17\n";
        assert_eq!(of_table(table), HashMap::from([(4711, 17)]));
        assert_eq!(of_table("header\nnonsense\n"), HashMap::new());
    }

    #[tokio::test]
    async fn drops_of_a_full_buffer_are_seen() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let Some(inode) = inode(&socket) else { return };
        let sender = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let to = socket.local_addr().expect("an address");
        for _ in 0..5000 {
            sender.send_to(&[b'x'; 1000], to).await.expect("sent");
        }
        assert!(counts().get(&inode).is_some_and(|dropped| *dropped > 0), "5 MB fit in no default buffer");
    }
}
