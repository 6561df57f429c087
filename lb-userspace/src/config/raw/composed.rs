//! Services made of services, and sticky sessions.

use crate::{
    config::{
        decode::{At, Cx, Decode, object},
        tree::Node,
        values::{Toggle, Weight, Whole, choice},
    },
    model::SameSite,
};

object! {
    /// `…weighted`.
    pub(crate) struct Weighted {
        services: Vec<At<Part>> = "services",
        sticky: Sticky = "sticky",
        health_check: Always = "healthCheck",
    }
}

object! {
    /// `…highestRandomWeight`.
    pub(crate) struct HighestRandomWeight {
        services: Vec<At<Part>> = "services",
        health_check: Always = "healthCheck",
    }
}

object! {
    /// `…weighted.services[]`, `…highestRandomWeight.services[]`.
    pub(crate) struct Part {
        name: String = "name",
        weight: Weight = "weight",
    }
}

object! {
    /// `…mirroring`.
    pub(crate) struct Mirroring {
        service: String = "service",
        mirror_body: bool = "mirrorBody",
        max_body_size: Whole<-1, { i64::MAX }> = "maxBodySize",
        mirrors: Vec<At<Mirror>> = "mirrors",
        health_check: Always = "healthCheck",
    }
}

object! {
    /// `…mirroring.mirrors[]`.
    pub(crate) struct Mirror {
        name: String = "name",
        percent: Whole<0, 100> = "percent",
    }
}

object! {
    /// `…failover`.
    pub(crate) struct Failover {
        service: String = "service",
        fallback: String = "fallback",
        health_check: Always = "healthCheck",
    }
    refused {
        "errors" => "failing over by the status of an answer isn't done yet",
    }
}

object! {
    /// `healthCheck: {}` of a composed service: whether the health of its parts counts. In lb it
    /// always does.
    pub(crate) struct Always {}
    refused {
        "path" | "interval" | "timeout" | "port" | "mode" | "scheme" | "headers" | "hostname"
            => "belongs to the services that it is made of, which have the servers",
    }
}

object! {
    /// `…sticky`.
    pub(crate) struct Sticky {
        cookie: Toggle<Cookie> = "cookie",
    }
}

object! {
    /// `…sticky.cookie`.
    pub(crate) struct Cookie {
        name: String = "name",
        secure: bool = "secure",
        http_only: bool = "httpOnly",
        same_site: SameSite = "sameSite",
        max_age: Whole<{ i32::MIN as i64 }, { i32::MAX as i64 }> = "maxAge",
        path: String = "path",
        domain: String = "domain",
    }
}

impl Decode for SameSite {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let table = [("none", Self::None), ("lax", Self::Lax), ("strict", Self::Strict)];
        choice(node, &table, &[], cx)
    }
}
