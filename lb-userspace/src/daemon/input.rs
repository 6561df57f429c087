//! Whatever wakes the writer, one thing at a time.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Duration, Interval, MissedTickBehavior, interval},
};

use super::{network::Network, takeover::Asked};
use crate::{api::Command, kernel::Pass, provider::Sources, reconcile::Event};

/// One thing to deal with.
#[derive(Debug)]
pub(super) enum Input {
    /// Of health checks or name resolution.
    Event(Event),
    /// From the API.
    Command(Command),
    /// The sweeper has been through the flow table.
    Swept(Pass),
    /// Routes, neighbours, interfaces or addresses are not what they were.
    Network,
    /// A provider has something new.
    Files,
    /// `SIGHUP`.
    Hangup,
    /// `SIGUSR1`: logs were moved away.
    Reopen,
    /// A second has passed.
    Tick,
    /// Another daemon wants to take over.
    Takeover(Asked),
    /// `SIGTERM` or `SIGINT`.
    End,
}

/// Where inputs come from.
pub(super) struct Inputs {
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) passes: mpsc::Receiver<Pass>,
    /// Once this daemon can be taken over.
    pub(super) takeovers: Option<mpsc::Receiver<Asked>>,
    tick: Interval,
    hangup: Signal,
    reopen: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Inputs {
    /// Takes over the signals of the process.
    pub(super) fn new(
        events: mpsc::Receiver<Event>,
        commands: mpsc::Receiver<Command>,
        passes: mpsc::Receiver<Pass>,
    ) -> io::Result<Self> {
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            events,
            commands,
            passes,
            takeovers: None,
            tick,
            hangup: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next input. Dropping the future loses nothing.
    pub(super) async fn next(
        &mut self,
        sources: &mut Sources,
        network: &mut Option<Network>,
    ) -> Input {
        let network = async {
            match network {
                Some(network) => network.changed().await,
                None => std::future::pending().await,
            }
        };
        let takeover = async {
            match &mut self.takeovers {
                Some(asking) => match asking.recv().await {
                    Some(asked) => asked,
                    None => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Input::End,
            _ = self.interrupt.recv() => Input::End,
            Some(event) = self.events.recv() => Input::Event(event),
            Some(command) = self.commands.recv() => Input::Command(command),
            () = network => Input::Network,
            _ = self.hangup.recv() => Input::Hangup,
            _ = self.reopen.recv() => Input::Reopen,
            Some(pass) = self.passes.recv() => Input::Swept(pass),
            asked = takeover => Input::Takeover(asked),
            _ = self.tick.tick() => Input::Tick,
            () = sources.changed() => Input::Files,
        }
    }
}
