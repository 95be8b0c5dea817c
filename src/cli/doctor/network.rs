//! The ports: free, or held by whom.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::finding::Finding;
use crate::http::config::ServerConfig;

/// Both listeners. While our own daemon runs, a taken port is as it should be.
pub fn ports(server: &ServerConfig, daemon_runs: bool) -> Vec<Finding> {
    let listeners = [("server.listen", server.listen), ("server.console_listen", server.console_listen)];
    listeners.into_iter().map(|(key, address)| port(key, address, daemon_runs)).collect()
}

fn port(key: &str, address: SocketAddr, daemon_runs: bool) -> Finding {
    let error = match TcpListener::bind(address) {
        Ok(_) if daemon_runs && address.port() != 0 => {
            let message = format!("{key} {address} is free although the daemon runs");
            return Finding::warn(
                "ports",
                message,
                "restart the daemon: its configuration has changed since its start",
            );
        }
        Ok(_) => return Finding::ok("ports", format!("{key} {address} is free")),
        Err(error) => error,
    };
    let holders = holders(address.port());
    let by = if holders.is_empty() { String::new() } else { format!(" by {}", holders.join(", ")) };
    match error.kind() {
        ErrorKind::AddrInUse if daemon_runs && holders.iter().all(|holder| holder.starts_with("packetboat ")) => {
            Finding::ok("ports", format!("{key} {address} is held{by}"))
        }
        ErrorKind::AddrInUse => {
            let next = if holders.is_empty() {
                format!("`ss -ltnp` as root names the process; end it, or choose another port with {key}")
            } else {
                format!("end that process, or choose another port with {key}")
            };
            Finding::fail("ports", format!("{key} {address} is taken{by}"), next)
        }
        ErrorKind::PermissionDenied => {
            let next = "use a port above 1023, or give the unit AmbientCapabilities=CAP_NET_BIND_SERVICE";
            Finding::fail("ports", format!("this user may not listen on {key} {address}"), next)
        }
        ErrorKind::AddrNotAvailable => {
            let next = "use an address of this machine (`ip address` lists them), or 127.0.0.1";
            Finding::fail("ports", format!("{key} {address} is no address of this machine"), next)
        }
        _ => Finding::fail("ports", format!("can't listen on {key} {address}: {error}"), ""),
    }
}

/// Who listens on a port, as `name (pid N)`; other users' processes are seen by root only.
fn holders(port: u16) -> Vec<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    let inodes: Vec<String> = tables.iter().flat_map(|table| listening_inodes(table, port)).collect();
    if inodes.is_empty() {
        return Vec::new();
    }
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| holds_any(*pid, &inodes)).map(describe).collect()
}

/// Of the kernel's table: column 2 is address:port in hexadecimal, column 4 the state (0A listens), column 10 the inode.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let wanted = format!(":{port:04X}");
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let listening = lines.filter(|columns| {
        columns.get(1).is_some_and(|address| address.ends_with(&wanted)) && columns.get(3) == Some(&"0A")
    });
    listening.filter_map(|columns| columns.get(9).map(|inode| (*inode).to_owned())).collect()
}

fn holds_any(pid: u32, inodes: &[String]) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
    let links = descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.filter_map(|link| link.to_str().map(str::to_owned)).any(|link| {
        let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        inode.is_some_and(|inode| inodes.iter().any(|wanted| wanted == inode))
    })
}

fn describe(pid: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("{} (pid {pid})", name.trim())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:4965 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 111 1\n\
             1: 0100007F:4965 0100007F:9999 01 00000000:00000000 00:00000000 00000000  0  0 222 1\n\
             2: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 333 1\n";
        assert_eq!(listening_inodes(table, 18789), ["111"]);
    }

    #[test]
    fn a_taken_port_names_the_process_that_holds_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let finding = port("server.listen", taken.local_addr().unwrap(), false);
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.message.contains(&format!("(pid {})", std::process::id())), "{}", finding.message);
        assert!(finding.next.contains("server.listen"), "{}", finding.next);
    }
}
