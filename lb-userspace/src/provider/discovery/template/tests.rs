use super::*;

fn rendered(template: &str) -> Result<String, String> {
    let labels = BTreeMap::from([
        ("com.docker.compose.service".to_owned(), "api".to_owned()),
        ("empty".to_owned(), String::new()),
        ("host".to_owned(), "a.example".to_owned()),
    ]);
    let subject = Subject { name: "my_api.v2", instance: "/my-api-1", labels: &labels };
    Template::parse(template)?.render(&subject)
}

macro_rules! renders {
    ($($test:ident: $template:expr => $text:expr;)+) => {
        $(#[test]
        fn $test() {
            assert_eq!(rendered($template).as_deref(), Ok($text));
        })+
    };
}

renders! {
    template_without_actions: "Host(`a`)" => "Host(`a`)";
    template_of_traefik: "Host(`{{ normalize .Name }}`)" => "Host(`my-api-v2`)";
    template_name: "{{ .Name }}" => "my_api.v2";
    template_container_name: "{{.ContainerName}}" => "/my-api-1";
    template_trim_prefix: "Host(`{{ trimPrefix `/` .ContainerName }}.docker.localhost`)" => "Host(`my-api-1.docker.localhost`)";
    template_trim_suffix: "{{ trimSuffix \".v2\" .Name }}" => "my_api";
    template_index: "Host(`{{ .Name }}.{{ index .Labels \"host\" }}`)" => "Host(`my_api.v2.a.example`)";
    template_index_of_nothing: "{{ index .Labels \"nothing\" }}" => "";
    template_label_by_field: "{{ .Labels.host }}" => "a.example";
    template_compose: "{{ index .Labels \"com.docker.compose.service\" }}" => "api";
    template_printf: "{{ printf \"Host(`%s.example`)\" .Name }}" => "Host(`my_api.v2.example`)";
    template_pipe: "{{ .Name | normalize | upper }}" => "MY-API-V2";
    template_pipe_with_arguments: "{{ .Name | replace \"_\" \"-\" }}" => "my-api.v2";
    template_default: "{{ index .Labels \"empty\" | default \"x\" }}" => "x";
    template_default_of_something: "{{ .Labels.host | default \"x\" }}" => "a.example";
    template_if: "{{ if .Labels.host }}yes{{ else }}no{{ end }}" => "yes";
    template_else: "{{ if .Labels.none }}yes{{ else }}no{{ end }}" => "no";
    template_else_if: "{{ if .Labels.none }}a{{ else if eq .Name \"my_api.v2\" }}b{{ else }}c{{ end }}" => "b";
    template_without_else: "{{ if eq .Name \"x\" }}a{{ end }}" => "";
    template_brackets: "{{ if and (hasPrefix \"my\" .Name) (not (contains \"x\" .Name)) }}a{{ end }}" => "a";
    template_or: "{{ or .Labels.none .Labels.host }}" => "a.example";
    template_ne: "{{ if ne .Name \"x\" }}a{{ end }}" => "a";
    template_has_key: "{{ if hasKey .Labels \"host\" }}a{{ end }}" => "a";
    template_split: "{{ index (splitList \".\" .Name) 0 }}" => "my_api";
    template_first_and_last: "{{ first (splitList \".\" .Name) }} {{ splitList \".\" .Name | last }}" => "my_api v2";
    template_join: "{{ join \"-\" (splitList \".\" .Name) }}" => "my_api-v2";
    template_trunc: "{{ trunc 2 .Name }}" => "my";
    template_ternary: "{{ ternary \"a\" \"b\" true }}" => "a";
    template_trims: "a  {{- .Labels.empty -}}  b" => "ab";
    template_comment: "a{{/* nothing */}}b" => "ab";
    template_escapes: "{{ \"\\\"x\\\"\" }}" => "\"x\"";
}

macro_rules! fails {
    ($($test:ident: $template:expr => $why:literal;)+) => {
        $(#[test]
        fn $test() {
            let why = rendered($template).expect_err("a fault");
            assert!(why.contains($why), "{why}");
        })+
    };
}

fails! {
    fails_without_end_of_action: "{{ .Name" => "`{{` without `}}`";
    fails_on_unknown_field: "{{ .Nme }}" => "no `.Nme`";
    fails_on_unknown_function: "{{ normalise .Name }}" => "did you mean `normalize`?";
    fails_on_too_few_arguments: "{{ index .Labels }}" => "doesn't take 1";
    fails_on_two_values: "{{ .Name .Name }}" => "expected a function";
    fails_on_nothing: "{{ | lower }}" => "expected a value";
    fails_on_range: "{{ range .Labels }}{{ end }}" => "`range` isn't done";
    fails_without_end: "{{ if .Name }}a" => "`if` without `end`";
    fails_on_end_alone: "{{ end }}" => "`end` without `if`";
    fails_on_open_bracket: "{{ lower (.Name }}" => "`(` without `)`";
    fails_on_closing_bracket: "{{ .Name ) }}" => "too many";
    fails_on_open_text: "{{ \"a }}" => "doesn't end";
    fails_on_index_of_text: "{{ index .Name 0 }}" => "index needs";
    fails_on_a_verb: "{{ printf \"%x\" .Name }}" => "printf knows";
    fails_on_missing_argument: "{{ printf \"%s\" }}" => "more verbs";
    fails_on_deep_brackets: &format!("{{{{ {}.Name }}}}", "(".repeat(100)) => "nest deeper";
}
