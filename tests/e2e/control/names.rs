//! How services and backends are named on the command line.

use anyhow::Result;
use lb_tests::Namespace;

use super::kit::quiet;

/// Every row asks the same daemon, which is quick to start but not free.
#[test]
fn a_service_is_named_in_every_way_the_help_says() -> Result<()> {
    let ns = Namespace::new("names")?;
    let daemon = quiet(&ns, "")?;
    for (words, proto, service) in [
        ("pg", "tcp", "pg@file"),
        ("pg@file", "tcp", "pg@file"),
        ("tcp/pg", "tcp", "pg@file"),
        ("tcp/pg@file", "tcp", "pg@file"),
        ("udp/dns", "udp", "dns@file"),
        ("tcp/dns@file", "tcp", "dns@file"),
    ] {
        let rows = daemon.json(&["backends", words])?;
        assert!(!rows.as_array().expect("rows").is_empty(), "{words}");
        for row in rows.as_array().expect("rows") {
            assert_eq!((&row["proto"], &row["service"]), (&proto.into(), &service.into()));
        }
    }
    for (args, code, stderr) in [
        (
            &["backends", "dns"][..],
            2,
            r#""dns" is ambiguous: name one of tcp/dns@file, udp/dns@file"#,
        ),
        (
            &["drain", "dns", "10.0.1.11:53"],
            2,
            r#""dns" is ambiguous: name one of tcp/dns@file, udp/dns@file"#,
        ),
        (
            &["flows", "--service", "dns"],
            2,
            r#""dns" is ambiguous: name one of tcp/dns@file, udp/dns@file"#,
        ),
        (&["backends", "pgg"], 1, r#"no service "pgg"; did you mean "pg"?"#),
        (&["backends", "pg@fiel"], 1, r#"no service "pg@fiel"; did you mean "pg@file"?"#),
        (
            &["weight", "udp/pg", "10.0.1.11:5432", "1"],
            1,
            r#"no service "udp/pg"; did you mean "tcp/pg"?"#,
        ),
        (&["backends", "something"], 1, r#"no service "something"; `lb services` lists them"#),
        (
            &["drain", "pg", "10.0.1.1:5432"],
            1,
            r#"no backend "10.0.1.1:5432" in tcp/pg@file; did you mean "10.0.1.11:5432"?"#,
        ),
        (
            &["drain", "pg", "nobody"],
            1,
            r#"no backend "nobody" in tcp/pg@file; `lb backends` lists them"#,
        ),
        (&["flows", "--service", "pgg"], 1, r#"no service "pgg"; did you mean "pg"?"#),
        (&["man", "statsu"], 2, r#"no command "statsu"; did you mean "status"?"#),
    ] {
        let outcome = daemon.cli(args)?;
        assert_eq!((outcome.code, outcome.stderr.trim_end()), (code, stderr), "{args:?}");
        assert_eq!(outcome.stdout, "", "{args:?}");
    }
    Ok(())
}

#[test]
fn completions_are_printed_for_every_shell() -> Result<()> {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = super::kit::lb(&["completions", shell])?;
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert!(outcome.stdout.contains("undrain"), "{shell}: {}", outcome.stdout);
    }
    assert_eq!(super::kit::lb(&["completions", "tcsh"])?.code, 2);
    Ok(())
}

#[test]
fn bash_takes_the_completions() -> Result<()> {
    let script = super::kit::lb(&["completions", "bash"])?.stdout;
    let words = format!(
        "{script}\nCOMP_WORDS=(lb und); COMP_CWORD=1; _lb lb und lb; echo \"${{COMPREPLY[@]}}\""
    );
    let output = std::process::Command::new("bash").args(["--norc", "-c", &words]).output()?;
    assert_eq!(String::from_utf8(output.stdout)?.trim(), "undrain");
    Ok(())
}

#[test]
fn man_pages_are_printed_for_lb_and_each_command() -> Result<()> {
    let page = super::kit::lb(&["man"])?;
    assert_eq!(page.code, 0);
    assert!(page.stdout.contains(".TH lb 1"), "{}", page.stdout);
    assert!(page.stdout.contains("Exit codes"), "{}", page.stdout);
    for command in ["run", "check", "status", "weight", "explain", "flows", "detach"] {
        let page = super::kit::lb(&["man", command])?;
        assert_eq!(page.code, 0);
        assert!(page.stdout.contains(&format!(".TH lb-{command} 1")), "{}", page.stdout);
    }
    Ok(())
}
