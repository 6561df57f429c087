use super::Head;

fn head() -> Head {
    let mut head = Head::request("GET", "/a/b?c=d");
    head.add("Host", "example.com:8080");
    head.add("Accept", "text/html");
    head.add("accept", "text/plain");
    head
}

#[test]
fn a_field_is_found_whatever_its_case() {
    let head = head();
    assert_eq!(head.get("ACCEPT"), Some(&b"text/html"[..]));
    assert_eq!(head.values("accept").count(), 2);
    assert_eq!(head.get("accep"), None);
}

#[test]
fn setting_a_field_replaces_all_of_its_name() {
    let mut head = head();
    head.set("aCCept", "*/*");
    assert_eq!(head.values("accept").collect::<Vec<_>>(), [&b"*/*"[..]]);
    assert_eq!(head.iter().count(), 2);
    assert!(head.remove("Accept") && !head.remove("Accept"));
}

#[test]
fn path_and_query_are_taken_apart_and_put_together() {
    let mut head = head();
    assert_eq!((head.path(), head.query()), ("/a/b", Some("c=d")));
    head.set_path("/x");
    assert_eq!(head.target(), "/x?c=d");
    head.set_target("/y");
    assert_eq!((head.path(), head.query()), ("/y", None));
}

#[test]
fn a_host_is_told_without_its_port() {
    let mut head = head();
    assert_eq!(head.host(), Some("example.com"));
    head.set("Host", "[2001:db8::1]:80");
    assert_eq!(head.host(), Some("[2001:db8::1]"));
    head.set("Host", "plain");
    assert_eq!(head.host(), Some("plain"));
}

#[test]
fn members_of_a_list_field_are_found_in_any_line() {
    let mut head = head();
    head.add("Connection", "close, X-Other");
    head.add("connection", "Upgrade");
    assert!(head.lists("Connection", "upgrade") && head.lists("connection", "x-other"));
    assert!(!head.lists("Connection", "up"));
}
