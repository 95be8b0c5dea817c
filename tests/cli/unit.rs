//! The systemd unit: hardened, with and without a graphics card.

use std::path::PathBuf;
use std::process::Command;

fn systemd() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

/// `systemd-analyze` fails when the exposure is above the threshold (times ten).
fn exposure_is_at_most(unit: PathBuf, threshold: u32) {
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", &format!("--threshold={threshold}")])
        .arg(unit)
        .output()
        .expect("systemd-analyze is missing: run make test-deps");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_unit_exposes_little() {
    exposure_is_at_most(systemd().join("packetboat.service"), 15);
}

#[test]
fn the_graphics_card_costs_little() {
    let folder = tempfile::tempdir().unwrap();
    let dropins = folder.path().join("packetboat.service.d");
    std::fs::create_dir(&dropins).unwrap();
    std::fs::copy(systemd().join("packetboat.service"), folder.path().join("packetboat.service")).unwrap();
    std::fs::copy(systemd().join("packetboat.service.d/gpu.conf.example"), dropins.join("gpu.conf")).unwrap();
    exposure_is_at_most(folder.path().join("packetboat.service"), 20);
}

#[test]
fn the_unit_says_when_it_is_ready_and_when_it_hangs() {
    let unit = std::fs::read_to_string(systemd().join("packetboat.service")).unwrap();
    for line in ["Type=notify", "WatchdogSec=30s", "TimeoutStopSec=60s", "KillMode=mixed", "DynamicUser=yes"] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
}
