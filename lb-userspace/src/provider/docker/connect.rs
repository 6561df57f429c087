//! To Docker's API, by a unix socket, TCP or TLS.

use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::net::TcpStream;

use super::super::client::CONNECT;
use crate::model::{self, Pem};

/// Connects and agrees on a version of the API.
pub(in super::super) async fn connect(settings: &model::Docker) -> Result<Docker, String> {
    let seconds = settings.timeout.as_secs().max(1);
    let endpoint = settings.endpoint.as_str();
    let docker = match (&settings.tls, endpoint.split_once("://")) {
        (None, Some(("unix", path))) => {
            Docker::connect_with_unix(path, seconds, API_DEFAULT_VERSION)
        }
        (Some(tls), _) => match (tls.root_cas.as_slice(), tls.certificates.as_slice()) {
            ([Pem::File(ca)], [(Pem::File(cert), Pem::File(key))]) => {
                Docker::connect_with_ssl(endpoint, key, cert, ca, seconds, API_DEFAULT_VERSION)
            }
            _ => return Err("tls: `ca`, `cert` and `key` are needed, each a file".to_owned()),
        },
        (None, _) => Docker::connect_with_http(endpoint, seconds, API_DEFAULT_VERSION),
    };
    let docker = docker.map_err(|error| error.to_string())?;
    is_there(settings).await?;
    within(settings.timeout, docker.negotiate_version()).await
}

/// Whether anybody listens: the library itself would wait for minutes, and a request on a connection
/// that has lost its way is sent anew at ever longer intervals, long after there is one again.
pub(in super::super) async fn is_there(settings: &model::Docker) -> Result<(), String> {
    let endpoint = settings.endpoint.split_once("://").filter(|(scheme, _)| *scheme != "unix");
    let Some((_, address)) = endpoint else { return Ok(()) };
    let address = address.trim_end_matches('/');
    match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{address}: {error}")),
        Err(_) => Err(format!("{address} doesn't answer")),
    }
}

/// An answer that doesn't come in time is a failure.
pub(in super::super) async fn within<T>(
    time: Duration,
    answer: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, String> {
    match tokio::time::timeout(time, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {time:?}")),
    }
}
