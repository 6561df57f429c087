//! Where the API listens.

use std::{fs, io, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path};

use axum::Router;
use tokio::net::{TcpListener, UnixListener};

/// Binds the admin socket for root alone, in place of one that a dead daemon
/// left (the caller holds the instance's lock).
pub fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(named)?;
    }
    // Bound under another name, so that nobody connects before the mode is set.
    let new = path.with_extension("sock.new");
    let _absent = fs::remove_file(&new);
    let listener = UnixListener::bind(&new).map_err(named)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).map_err(named)?;
    fs::rename(&new, path).map_err(named)?;
    Ok(listener)
}

/// Binds a TCP address that the configuration names.
pub async fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|e| io::Error::new(e.kind(), format!("can't listen on {address}: {e}")))
}

/// Serves until the task is dropped.
pub async fn serve<L>(listener: L, router: Router)
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    serve_until(listener, router, std::future::pending()).await;
}

/// Serves until `stopped`, and then until whoever has asked has his answer.
pub async fn serve_until<L>(
    listener: L,
    router: Router,
    stopped: impl Future<Output = ()> + Send + 'static,
) where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    let serving = axum::serve(listener, router).with_graceful_shutdown(stopped);
    if let Err(e) = serving.await {
        tracing::error!("the API stopped listening: {e}");
    }
}
