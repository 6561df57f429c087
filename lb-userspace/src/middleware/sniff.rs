//! What kind of content some first bytes are (WHATWG MIME Sniffing, §7), for answers whose server
//! doesn't say.

/// Bytes that matter.
pub(super) const LENGTH: usize = 512;

/// The content type of what begins with `bytes`.
pub(super) fn content_type(bytes: &[u8]) -> &'static str {
    let bytes = &bytes[..bytes.len().min(LENGTH)];
    markup(bytes)
        .or_else(|| signature(bytes))
        .or_else(|| container(bytes))
        .unwrap_or_else(|| text_or_not(bytes))
}

const HTML: &[&str] = &[
    "<!DOCTYPE HTML",
    "<HTML",
    "<HEAD",
    "<SCRIPT",
    "<IFRAME",
    "<H1",
    "<DIV",
    "<FONT",
    "<TABLE",
    "<A",
    "<STYLE",
    "<TITLE",
    "<B",
    "<BODY",
    "<BR",
    "<P",
    "<!--",
];

fn markup(bytes: &[u8]) -> Option<&'static str> {
    let bytes = bytes.trim_ascii_start();
    let ends = |rest: &[u8]| matches!(rest.first(), Some(b' ' | b'>'));
    let is_html = HTML.iter().any(|tag| {
        let begins = bytes.get(..tag.len()).is_some_and(|s| s.eq_ignore_ascii_case(tag.as_bytes()));
        begins && ends(&bytes[tag.len()..])
    });
    match () {
        () if is_html => Some("text/html; charset=utf-8"),
        () if bytes.starts_with(b"<?xml") => Some("text/xml; charset=utf-8"),
        () => None,
    }
}

const SIGNATURES: &[(&[u8], &str)] = &[
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\xFE\xFF", "text/plain; charset=utf-16be"),
    (b"\xFF\xFE", "text/plain; charset=utf-16le"),
    (b"\xEF\xBB\xBF", "text/plain; charset=utf-8"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"\x00\x00\x02\x00", "image/x-icon"),
    (b"BM", "image/bmp"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x89PNG\r\n\x1A\n", "image/png"),
    (b"\xFF\xD8\xFF", "image/jpeg"),
    (b"ID3", "audio/mpeg"),
    (b"OggS\x00", "application/ogg"),
    (b"MThd\x00\x00\x00\x06", "audio/midi"),
    (b"\x1A\x45\xDF\xA3", "video/webm"),
    (b"\x00\x01\x00\x00", "font/ttf"),
    (b"OTTO", "font/otf"),
    (b"ttcf", "font/collection"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"\x1F\x8B\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"Rar!\x1A\x07\x00", "application/x-rar-compressed"),
    (b"Rar!\x1A\x07\x01\x00", "application/x-rar-compressed"),
    (b"\x00asm", "application/wasm"),
];

fn signature(bytes: &[u8]) -> Option<&'static str> {
    SIGNATURES.iter().find(|(begin, _)| bytes.starts_with(begin)).map(|(_, kind)| *kind)
}

/// Formats that say what they hold behind their length.
fn container(bytes: &[u8]) -> Option<&'static str> {
    match (bytes.get(..4)?, bytes.get(8..12)?) {
        (b"RIFF", b"AVI ") => Some("video/avi"),
        (b"RIFF", b"WAVE") => Some("audio/wave"),
        (b"RIFF", b"WEBP") => Some("image/webp"),
        (b"FORM", b"AIFF") => Some("audio/aiff"),
        _ if bytes.get(4..8) == Some(b"ftyp") && bytes[8..11] == *b"mp4" => Some("video/mp4"),
        _ => None,
    }
}

fn text_or_not(bytes: &[u8]) -> &'static str {
    let binary = |b: &u8| matches!(b, 0x00..=0x08 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F);
    if bytes.iter().any(binary) { "application/octet-stream" } else { "text/plain; charset=utf-8" }
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn content_is_told_by_its_first_bytes() {
        for (bytes, kind) in [
            (&b" \n<html><p>"[..], "text/html; charset=utf-8"),
            (b"<!doctype html>", "text/html; charset=utf-8"),
            (b"<htmlx>", "text/plain; charset=utf-8"),
            (b"<?xml version='1.0'?>", "text/xml; charset=utf-8"),
            (b"%PDF-1.7", "application/pdf"),
            (b"\x89PNG\r\n\x1A\n....", "image/png"),
            (b"\xFF\xD8\xFF\xE0", "image/jpeg"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
            (b"\0\0\0\x18ftypmp42", "video/mp4"),
            (b"\x1F\x8B\x08\0", "application/x-gzip"),
            (b"{\"a\": 1}", "text/plain; charset=utf-8"),
            (b"a\x01b", "application/octet-stream"),
            (b"", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(content_type(bytes), kind, "{}", bytes.escape_ascii());
        }
    }
}
