//! The machine: its graphics card with the libraries, its clock.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::finding::Finding;
use crate::cli::time::date;
use crate::clock::{Clock, SystemClock};
use crate::inference::config::{Device, ModelBackend, ModelConfig};
use crate::inference::runtime;

/// Where a driver's library is on the usual systems; a container gets it in one of the last two.
const LIBRARY_FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/nvidia/lib64",
    "/usr/local/cuda/compat",
];
const CUDA_PART: &str = "libonnxruntime_providers_cuda.so";

/// CUDA, when the model may use it.
pub fn gpu(model: &ModelConfig) -> Option<Finding> {
    if model.backend != ModelBackend::Onnx || model.device == Device::Cpu {
        return None;
    }
    let missing = missing_for_cuda(model);
    Some(match (missing, model.device) {
        (None, _) => Finding::ok("gpu", "the card's driver and ONNX Runtime's CUDA part are there"),
        (Some((what, _)), Device::Auto | Device::Cpu) => Finding::ok("gpu", format!("the processor is used: {what}")),
        (Some((what, next)), Device::Cuda) => {
            Finding::warn("gpu", format!("model.device is cuda, and {what}; the processor is used"), next)
        }
    })
}

fn missing_for_cuda(model: &ModelConfig) -> Option<(&'static str, &'static str)> {
    if !Path::new("/proc/driver/nvidia/version").exists() {
        return Some(("there is no NVIDIA driver", "install the driver; `nvidia-smi` must list the card"));
    }
    let more = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let folders = LIBRARY_FOLDERS.iter().map(PathBuf::from).chain(std::env::split_paths(&more));
    if !folders.into_iter().any(|folder| folder.join("libcuda.so.1").exists()) {
        let next = "install the driver's libraries (libcuda1), or give the container access to the card";
        return Some(("libcuda.so.1 is not found", next));
    }
    let library = runtime::library(model.runtime.as_deref()).ok();
    let has_cuda = library.and_then(|path| path.parent().map(|folder| folder.join(CUDA_PART).exists()));
    if has_cuda == Some(false) {
        let next = "use the onnxruntime-gpu library; model.runtime names it";
        return Some(("this ONNX Runtime has no CUDA part", next));
    }
    None
}

/// A clock that is behind makes tokens that nobody honours, and certificates fail.
pub fn clock() -> Option<Finding> {
    let now = SystemClock.now_ms();
    let program = std::env::current_exe().ok()?.metadata().ok()?.modified().ok()?;
    let built = program.duration_since(UNIX_EPOCH).ok()?.as_millis() as u64;
    Some(judge_clock(now, built))
}

fn judge_clock(now_ms: u64, program_ms: u64) -> Finding {
    if now_ms < program_ms {
        let message = format!("the clock says {}, which is before this program was made", date(now_ms));
        return Finding::fail("clock", message, "set it: `timedatectl set-ntp true`");
    }
    Finding::ok("clock", format!("it says {}", date(now_ms)))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_clock_before_the_program_is_a_failure() {
        assert_eq!(judge_clock(1_000, 2_000).level, Level::Fail);
        assert_eq!(judge_clock(2_000, 1_000).level, Level::Ok);
    }

    #[test]
    fn the_card_is_not_looked_for_when_nobody_wants_it() {
        assert_eq!(gpu(&ModelConfig { device: Device::Cpu, ..ModelConfig::default() }), None);
        assert_eq!(gpu(&ModelConfig { backend: ModelBackend::Echo, ..ModelConfig::default() }), None);
    }
}
