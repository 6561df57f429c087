//! What a client accepts (RFC 9110 §12.5.3).

use crate::{
    config::{
        decode::{Cx, Decode},
        tree::Node,
        values::choice,
    },
    proxy::Head,
};

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Brotli,
    Zstd,
}

impl Encoding {
    /// In the order of the default.
    pub(super) const ALL: [Self; 3] = [Self::Gzip, Self::Brotli, Self::Zstd];

    /// As in headers.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

impl Decode for Encoding {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        choice(node, &Self::ALL.map(|encoding| (encoding.name(), encoding)), &[], cx)
    }
}

/// The coding that the client likes most; of those it likes alike, the first of ours. `None` for
/// the body as it is.
pub(super) fn choose(
    request: &Head,
    ours: &[Encoding],
    default: Option<Encoding>,
) -> Option<Encoding> {
    if !request.has("Accept-Encoding") {
        return default;
    }
    let mut weights = vec![None; ours.len()];
    let (mut identity, mut any) = (None, None);
    for (name, weight) in request.values("Accept-Encoding").flat_map(members) {
        let slot = match name {
            "identity" => &mut identity,
            "*" => &mut any,
            _ => match ours.iter().position(|one| one.name().eq_ignore_ascii_case(name)) {
                Some(i) => &mut weights[i],
                None => continue,
            },
        };
        *slot = Some(weight);
    }
    let weight = |i: usize| weights[i].or(any).unwrap_or(0);
    let best = (0..ours.len()).rev().max_by_key(|&i| weight(i)).filter(|&i| weight(i) > 0)?;
    if identity.unwrap_or(0) > weight(best) {
        return None;
    }
    match default {
        // The client leaves it to us.
        Some(default) if weights[best].is_none() => Some(default),
        _ => Some(ours[best]),
    }
}

/// Codings with their weights in thousandths; what is malformed isn't accepted.
fn members(value: &[u8]) -> impl Iterator<Item = (&str, u16)> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    text.split(',').filter_map(|member| {
        let mut parts = member.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let weight =
            match parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q="))) {
                None => 1000,
                Some(q) => {
                    let q = q.trim().parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q));
                    q.map_or(0, |q| (q * 1000.0) as u16)
                }
            };
        Some((name, weight))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Exchange;

    #[test]
    fn the_client_chooses_and_then_the_order() {
        use Encoding::{Brotli, Gzip, Zstd};
        let all = &Encoding::ALL[..];
        for (accept, ours, default, chosen) in [
            (Some("gzip, deflate, br, zstd"), all, None, Some(Gzip)),
            (Some("gzip, deflate, br, zstd"), &[Zstd, Brotli, Gzip][..], None, Some(Zstd)),
            (Some("br;q=1.0, gzip;q=0.8"), all, None, Some(Brotli)),
            (Some("br;q=0.5, gzip;q=0.8, zstd;q=0.7"), all, None, Some(Gzip)),
            (Some("GZIP"), all, None, Some(Gzip)),
            (Some("gzip;q=0"), all, None, None),
            (Some("gzip;q=0, *"), all, None, Some(Brotli)),
            (Some("*"), all, None, Some(Gzip)),
            (Some("*"), all, Some(Zstd), Some(Zstd)),
            (Some("*;q=0"), all, Some(Zstd), None),
            (Some("identity"), all, None, None),
            (Some("identity, gzip;q=0.5"), all, None, None),
            (Some("identity;q=0.5, gzip"), all, None, Some(Gzip)),
            (Some("gzip, identity"), all, None, Some(Gzip)),
            (Some("deflate"), all, Some(Gzip), None),
            (Some("br"), &[Gzip], None, None),
            (Some("gzip;q=x"), all, None, None),
            (Some("gzip;q=2"), all, None, None),
            (Some(""), all, Some(Gzip), None),
            (None, all, None, None),
            (None, all, Some(Brotli), Some(Brotli)),
        ] {
            let lines = accept.map(|accept| format!("GET /\nAccept-Encoding: {accept}"));
            let exchange = Exchange::made_up(lines.as_deref().unwrap_or("GET /"));
            assert_eq!(choose(&exchange.request, ours, default), chosen, "{accept:?} {ours:?}");
        }
        let lines = Exchange::made_up("GET /\nAccept-Encoding: deflate\nAccept-Encoding: br");
        assert_eq!(choose(&lines.request, all, None), Some(Brotli), "several lines are one list");
    }
}
