//! Servers: addresses and weights.

use super::*;

rows! {
    v4: server("address: '10.0.1.5:5432'").address() => "10.0.1.5:5432";
    v4_without_quotes: server("address: 10.0.1.5:5432").address() => "10.0.1.5:5432";
    v6: server("address: '[2001:db8::5]:80'").address() => "[2001:db8::5]:80";
    v6_is_written_short: server("address: '[2001:DB8:0::5]:80'").address() => "[2001:db8::5]:80";
    v4_in_v6_is_v4: server("address: '[::ffff:10.0.1.5]:80'").address() => "10.0.1.5:80";
    a_name: server("address: 'db.example.com:80'").host => "db.example.com";
    a_name_of_one_label: server("address: 'db:80'").host => "db";
    a_name_with_underscore: server("address: 'my_db_1:80'").host => "my_db_1";
    a_name_with_a_final_dot: server("address: 'db.example.com.:80'").host => "db.example.com.";
    a_name_that_begins_with_digits: server("address: '1a.example.com:80'").host => "1a.example.com";
    weight_by_default: server("address: 'a:1'").weight => 1;
    weight_zero: server("address: 'a:1', weight: 0").weight => 0;
    weight_highest: server("address: 'a:1', weight: 65535").weight => 65_535;
    weight_in_quotes: server("address: 'a:1', weight: '7'").weight => 7;
    none: service("servers: []").servers.len() => 0;
    not_given: service("").servers.len() => 0;
    one_host_with_two_ports: service("servers: [ { address: 'a:1' }, { address: 'a:2' } ]").servers.len() => 2;
    in_their_order: service("servers: [ { address: 'b:1' }, { address: 'a:1' } ]").servers[0].host => "b";
}
