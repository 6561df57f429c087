//! A key-value bucket.

use async_nats::jetstream::{
    self,
    kv::Store,
    stream::{DiscardPolicy, StorageType},
};

use super::link::chain;

/// The bucket, made where there is none.
pub(crate) async fn bucket(
    context: &jetstream::Context,
    name: &str,
    replicas: usize,
) -> Result<Store, String> {
    if let Ok(store) = context.get_key_value(name).await {
        return Ok(store);
    }
    // The client's own way asks for what servers before 2.11 don't tell.
    let config = jetstream::stream::Config {
        name: format!("KV_{name}"),
        description: Some("lb's configuration, instances and runtime changes".to_owned()),
        subjects: vec![format!("$KV.{name}.>")],
        max_messages_per_subject: 1,
        max_bytes: -1,
        max_message_size: -1,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        num_replicas: replicas,
        ..Default::default()
    };
    let told = |e: &dyn std::error::Error| format!("bucket {name:?}: {}", chain(e));
    context.create_stream(config).await.map_err(|e| told(&e))?;
    context.get_key_value(name).await.map_err(|e| told(&e))
}
