//! Relative paths in a configuration start at the configuration file's folder, wherever the daemon is started from.

use std::path::{Path, PathBuf};

use packetboat_adapter_api::secret::SecretRef;

use super::Config;

/// The file's folder, absolute if the working folder is known.
pub fn folder_of(file: &Path) -> PathBuf {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

/// Makes every path of `config` absolute.
pub fn start_at(config: &mut Config, folder: &Path) {
    let (cert, key) = config.server.tls.as_mut().map_or((None, None), |tls| (Some(&mut tls.cert), Some(&mut tls.key)));
    let model = &mut config.model;
    let paths = [Some(&mut config.storage.path), model.path.as_mut(), model.runtime.as_mut(), cert, key];
    for path in paths.into_iter().flatten() {
        *path = folder.join(&*path);
    }
    let telegram = config.adapters.telegram.as_mut();
    let (token, webhook_secret) =
        telegram.map_or((None, None), |section| (Some(&mut section.token), section.webhook_secret.as_mut()));
    for secret in [config.model.api_key.as_mut(), token, webhook_secret].into_iter().flatten() {
        if let SecretRef::File(path) = secret {
            *path = folder.join(&*path);
        }
    }
}
