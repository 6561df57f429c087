//! One connection to NATS.

use std::{io, time::Duration};

use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::watch;

use crate::{
    model::{Login, Nats},
    provider::client::CONNECT,
    proxy::tls::Connector,
};

/// To be answered a request. Short, as [`CONNECT`] is and for the same reason.
const ANSWER: Duration = Duration::from_secs(3);
/// How often the server is asked whether it lives; two silent ones break the connection.
const PING: Duration = Duration::from_secs(4);

/// A connection until it breaks; it is closed when dropped.
pub(crate) struct Link {
    pub(crate) client: Client,
    broken: watch::Receiver<bool>,
}

impl Link {
    /// Connects. `name` is how the server's monitoring calls it.
    ///
    /// # Errors
    /// Why not, in half a sentence, without secrets.
    pub(crate) async fn open(nats: &Nats, name: &str) -> Result<Self, String> {
        let (breaks, broken) = watch::channel(false);
        let options = options(nats).await?.name(name).event_callback(move |event| {
            if matches!(event, Event::Disconnected | Event::Closed) {
                breaks.send_replace(true);
            }
            std::future::ready(())
        });
        let connecting = options.connect(nats.servers.as_slice());
        match tokio::time::timeout(CONNECT, connecting).await {
            Ok(Ok(client)) => Ok(Self { client, broken }),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    /// Resolves when it breaks.
    pub(crate) async fn broken(&mut self) -> String {
        // An error means that the client is gone.
        let _broken = self.broken.wait_for(|is| *is).await;
        "the connection broke".to_owned()
    }
}

async fn options(nats: &Nats) -> Result<ConnectOptions, String> {
    let options = ConnectOptions::new()
        .connection_timeout(CONNECT)
        .request_timeout(Some(ANSWER))
        .ping_interval(PING)
        // Over the next connection everything is begun anew.
        .max_reconnects(1)
        .retain_servers_order();
    let options = match &nats.login {
        Login::None => options,
        Login::Credentials(path) => options
            .credentials_file(path)
            .await
            .map_err(|e: io::Error| format!("{}: {e}", path.display()))?,
        Login::Seed(path) => {
            let seed = tokio::fs::read_to_string(path).await;
            let seed = seed.map_err(|e| format!("{}: {e}", path.display()))?;
            options.nkey(seed.trim().to_owned())
        }
        Login::Token(token) => options.token(token.clone()),
        Login::User(user, password) => options.user_and_password(user.clone(), password.clone()),
    };
    let wants_tls = nats.servers.iter().any(|server| server.starts_with("tls://"));
    if nats.tls.is_none() && !wants_tls {
        return Ok(options);
    }
    let settings = nats.tls.clone().unwrap_or_default();
    let made = tokio::task::spawn_blocking(move || Connector::alone(&settings, &[])).await;
    let connector = made.map_err(|e| e.to_string())??;
    let (config, _) = connector.with("nats").map_err(|e| e.to_string())?;
    Ok(options.tls_client_config((*config).clone()).require_tls(true))
}

/// An error with what caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_that_is_not_there_is_said_without_secrets() {
        let servers = vec!["nats://me:secret@127.0.0.1:1".to_owned()];
        let nats = Nats { servers, ..Nats::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let why = runtime.block_on(Link::open(&nats, "lb")).err().unwrap();
        assert!(why.contains("refused") && !why.contains("secret"), "{why}");
    }
}
