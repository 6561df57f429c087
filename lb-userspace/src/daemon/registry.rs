//! lb's own registry, as the settings have it.

use std::{io, path::Path};

use crate::{
    model::RegistrySettings,
    provider::registry::Slot,
    registry::{self, Contents, Registry, View},
};

/// The registry, where it is asked for.
#[derive(Default)]
pub(super) struct RegistrySide {
    running: Option<Registry>,
    /// Opened once, when first needed.
    contents: Option<Contents>,
    /// Why it doesn't run, tried again at each call.
    fault: Option<String>,
}

impl RegistrySide {
    /// Starts, ends, or starts anew.
    pub(super) async fn follow(
        &mut self,
        settings: Option<&RegistrySettings>,
        state: &Path,
        slot: &Slot,
    ) {
        if self.running.as_ref().map(Registry::settings) == settings {
            self.fault = None;
            return;
        }
        // Its addresses are to be free before others are opened.
        if let Some(old) = self.running.take() {
            slot.set(None);
            old.end().await;
        }
        self.fault = None;
        if let Some(settings) = settings {
            match self.start(settings, state).await {
                Ok(running) => {
                    slot.set(self.contents.as_ref().map(Contents::follow));
                    self.running = Some(running);
                }
                Err(error) => self.fault = Some(error.to_string()),
            }
        }
    }

    async fn start(&mut self, settings: &RegistrySettings, state: &Path) -> io::Result<Registry> {
        // Whoever has the address has the log: a daemon that is about to end, maybe.
        let listener = registry::bind(settings.address).await?;
        let contents = match &self.contents {
            Some(contents) => contents.clone(),
            None => self.contents.insert(Contents::open(state)?).clone(),
        };
        let running = Registry::start(settings, listener, contents).await?;
        tracing::info!("registry: Consul's API at {}", settings.address);
        Ok(running)
    }

    /// Whether it should run and doesn't.
    pub(super) fn is_missing(&self) -> bool {
        self.fault.is_some()
    }

    /// What is wrong with it.
    pub(super) fn faults(&self) -> Vec<String> {
        let found = self.contents.iter().flat_map(Contents::faults);
        self.fault.iter().cloned().chain(found).collect()
    }

    /// For those who show it.
    pub(super) fn view(&self) -> Option<View> {
        self.running.as_ref().map(Registry::view)
    }
}

impl Drop for RegistrySide {
    fn drop(&mut self) {
        // The log may be somebody else's from now on.
        self.contents.iter().for_each(Contents::close);
    }
}
