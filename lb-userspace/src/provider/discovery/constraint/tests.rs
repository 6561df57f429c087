use super::*;

fn holds(text: &str) -> Result<bool, String> {
    let labels = BTreeMap::from([("env".to_owned(), "prod".to_owned())]);
    Ok(Constraint::parse(text)?.holds(&labels, &["web".to_owned(), "v2".to_owned()]))
}

macro_rules! constraints {
    ($($test:ident: $text:expr => $result:expr;)+) => {
        $(#[test]
        fn $test() {
            let result: Result<bool, &str> = $result;
            match (holds($text), result) {
                (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
                (holds, wanted) => assert_eq!(holds, wanted.map_err(str::to_owned)),
            }
        })+
    };
}

constraints! {
    constraint_of_nothing: "" => Ok(true);
    constraint_label: "Label(`env`, `prod`)" => Ok(true);
    constraint_label_of_another_value: "Label(`env`, `dev`)" => Ok(false);
    constraint_label_that_is_missing: "Label(`none`, ``)" => Ok(false);
    constraint_label_in_quotes: "Label(\"env\", \"prod\")" => Ok(true);
    constraint_label_regex: "LabelRegex(`env`, `^pr.+`)" => Ok(true);
    constraint_tag: "Tag(`web`)" => Ok(true);
    constraint_tag_regex: "TagRegex(`^v[0-9]$`)" => Ok(true);
    constraint_not: "!Tag(`web`)" => Ok(false);
    constraint_and: "Tag(`web`) && Tag(`v1`)" => Ok(false);
    constraint_or: "Tag(`v1`) || Tag(`web`)" => Ok(true);
    constraint_and_before_or: "Tag(`web`) || Tag(`x`) && Tag(`y`)" => Ok(true);
    constraint_brackets: "(Tag(`web`) || Tag(`x`)) && !(Tag(`y`))" => Ok(true);
    constraint_in_any_case: "label(`env`,`prod`)" => Ok(true);
    constraint_unknown: "Lable(`a`, `b`)" => Err("did you mean `Label`?");
    constraint_of_one_text_too_few: "Label(`a`)" => Err("takes 2 texts, not 1");
    constraint_without_quotes: "Tag(web)" => Err("a text in backquotes at character 5");
    constraint_without_end: "Tag(`web`) Tag(`x`)" => Err("`&&`, `||` or the end");
    constraint_of_a_bad_regex: "TagRegex(`(`)" => Err("no regular expression");
    constraint_that_is_deep: &"!".repeat(100) => Err("deeper");
}
