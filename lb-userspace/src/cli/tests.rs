//! Arguments: what is taken, what is a usage error.

use clap::{CommandFactory, error::ErrorKind};

use super::*;

fn parse(line: &str) -> Result<Cli, ErrorKind> {
    Cli::try_parse_from(line.split_whitespace()).map_err(|e| e.kind())
}

macro_rules! taken {
    ($($test:ident: $line:expr;)+) => {
        $(#[test]
        fn $test() {
            if let Err(kind) = parse($line) {
                panic!("{:?}: {kind:?}", $line);
            }
        })+
    };
}

taken! {
    arguments_status: "lb status";
    arguments_check: "lb check -c lb.yaml";
    arguments_output_before: "lb -o json status";
    arguments_output_after: "lb status -o yaml";
    arguments_long_output: "lb services --output table";
    arguments_instance_before: "lb --instance blue backends";
    arguments_instance_after: "lb backends pg@file --instance blue";
    arguments_drain: "lb drain tcp/pg 10.0.1.5:5432";
    arguments_undrain: "lb undrain pg 10.0.1.5:5432";
    arguments_weight: "lb weight pg 10.0.1.5:5432 65535";
    arguments_weight_reset: "lb weight pg 10.0.1.5:5432 --reset";
    arguments_explain: "lb explain l4 udp 203.0.113.7:5555 198.51.100.10:53";
    arguments_explain_ipv6: "lb explain l4 tcp [2001:db8::7]:5555 [2001:db8::10]:53";
    arguments_explain_http: "lb explain http GET http://a.example/x -H X-A:1 -H X-B:2 --client 192.0.2.7";
    arguments_flows: "lb flows --service pg --client 10.0.0.0/8 --backend 10.0.1.5 --state new --limit 5";
    arguments_completions: "lb completions bash";
    arguments_man: "lb man";
}

macro_rules! refused {
    ($($test:ident: $line:expr => $kind:ident;)+) => {
        $(#[test]
        fn $test() {
            assert_eq!(parse($line).map(|_| ()), Err(ErrorKind::$kind), "{}", $line);
        })+
    };
}

refused! {
    usage_check_without_file: "lb check" => MissingRequiredArgument;
    usage_no_command: "lb" => DisplayHelpOnMissingArgumentOrSubcommand;
    usage_unknown_command: "lb frobnicate" => InvalidSubcommand;
    usage_unknown_format: "lb status -o xml" => InvalidValue;
    usage_instance_with_slash: "lb --instance a/b status" => ValueValidation;
    usage_weight_missing: "lb weight pg 10.0.1.5:5432" => MissingRequiredArgument;
    usage_weight_too_large: "lb weight pg 10.0.1.5:5432 65536" => ValueValidation;
    usage_weight_negative: "lb weight pg 10.0.1.5:5432 -1" => UnknownArgument;
    usage_weight_and_reset: "lb weight pg 10.0.1.5:5432 3 --reset" => ArgumentConflict;
    usage_drain_without_backend: "lb drain pg" => MissingRequiredArgument;
    usage_explain_protocol: "lb explain l4 sctp 1.2.3.4:5 1.2.3.4:6" => InvalidValue;
    usage_explain_without_port: "lb explain l4 tcp 1.2.3.4 1.2.3.4:6" => ValueValidation;
    usage_explain_layer: "lb explain l9 tcp 1.2.3.4:5 1.2.3.4:6" => InvalidSubcommand;
    usage_explain_http_without_url: "lb explain http GET" => MissingRequiredArgument;
    usage_explain_http_client: "lb explain http GET http://a.example/ --client here" => ValueValidation;
    usage_flows_limit: "lb flows --limit many" => ValueValidation;
    usage_top_is_not_there_yet: "lb top" => InvalidSubcommand;
    usage_trace_is_not_there_yet: "lb trace" => InvalidSubcommand;
    usage_schema_is_not_there_yet: "lb schema" => InvalidSubcommand;
}

#[test]
fn definition_of_the_arguments_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn context_holds_what_was_said_on_either_side() {
    let cli = parse("lb --instance blue status -o json").unwrap();
    assert_eq!(cli.context.instance.instance(), "blue");
    assert_eq!(cli.context.output, Format::Json);
}

#[test]
fn context_has_defaults() {
    let cli = parse("lb status").unwrap();
    assert_eq!(cli.context.instance.instance(), "default");
    assert_eq!(cli.context.output, Format::Table);
}
