use super::{Effort, Schema};
use serde_json::{Value, from_str, json};

/// What of these values is as the schema says.
fn valid<const N: usize>(schema: &Value, values: [Value; N]) -> [bool; N] {
    let schema = Schema::new(schema).unwrap();
    values.map(|value| schema.validate(&value, &Effort::default()).is_ok())
}

fn mistake(schema: Value) -> String {
    Schema::new(&schema).unwrap_err().to_string()
}

/// Where a value is not as the schema says: in the value, and in the schema.
fn failure(schema: &Value, value: &Value) -> (String, String) {
    let schema = Schema::new(schema).unwrap();
    let failure = schema.validate(value, &Effort::default()).unwrap_err();
    (failure.instance, failure.schema.to_owned())
}

#[test]
fn types_are_those_of_json_and_an_integer_may_have_a_point() {
    let values =
        || [json!(null), json!(true), json!(1), json!(1.0), json!(1.5), json!("a"), json!([]), json!({})];
    for (kind, expected) in [
        (json!("null"), [true, false, false, false, false, false, false, false]),
        (json!("boolean"), [false, true, false, false, false, false, false, false]),
        (json!("integer"), [false, false, true, true, false, false, false, false]),
        (json!("number"), [false, false, true, true, true, false, false, false]),
        (json!(["string", "array"]), [false, false, false, false, false, true, true, false]),
        (json!("object"), [false, false, false, false, false, false, false, true]),
    ] {
        assert_eq!(valid(&json!({"type": kind}), values()), expected, "{kind}");
    }
    assert_eq!(valid(&json!(true), [json!(null)]), [true]);
    assert_eq!(valid(&json!(false), [json!(null)]), [false]);
    assert_eq!(valid(&json!({}), [json!(null)]), [true]);
}

#[test]
fn the_same_is_the_same_however_it_is_written() {
    let schema = json!({"enum": [1, "1", {"a": [1.0], "b": null}, [true]]});
    let same = [from_str("1.0").unwrap(), json!("1"), json!({"b": null, "a": [1]}), json!([true])];
    assert_eq!(valid(&schema, same), [true; 4]);
    assert_eq!(valid(&schema, [json!(2), json!(true), json!({"a": [1]}), json!([1])]), [false; 4]);
    assert_eq!(valid(&json!({"const": 0}), [json!(-0.0), json!(false), json!(null)]), [true, false, false]);
    assert_eq!(
        valid(&json!({"uniqueItems": true}), [json!([1, 2]), json!([1, 1.0]), json!([[1], [true]])]),
        [true, false, true]
    );
    let large = from_str("10000000000000000").unwrap();
    assert_eq!(valid(&json!({"const": 1e16}), [large, json!(1e17)]), [true, false]);
}

#[test]
fn numbers_have_bounds_and_steps() {
    let within = json!({"minimum": -1, "exclusiveMaximum": 9.5});
    assert_eq!(
        valid(&within, [json!(-1), json!(9.4), json!(-1.1), json!(9.5), json!("x")]),
        [true, true, false, false, true]
    );
    let within = json!({"exclusiveMinimum": 0, "maximum": 18_446_744_073_709_551_614_u64});
    let largest = [json!(18_446_744_073_709_551_614_u64), json!(18_446_744_073_709_551_615_u64), json!(0)];
    assert_eq!(valid(&within, largest), [true, false, false]);
    let values = [json!(4.02), json!(0.3), json!(4.021), json!(4), json!(1e300)];
    assert_eq!(valid(&json!({"multipleOf": 0.01}), values), [true, true, false, true, true]);
    let values = [json!(9_007_199_254_740_993_u64), json!(6.0), json!(-9), json!(0.5)];
    assert_eq!(valid(&json!({"multipleOf": 3}), values), [true, true, true, false], "to the last digit");
}

#[test]
fn texts_have_lengths_and_patterns() {
    let schema = json!({"minLength": 2, "maxLength": 3, "pattern": "[0-9]"});
    let values = [json!("a1"), json!("äö1"), json!("1"), json!("abc1"), json!("abc"), json!(7)];
    assert_eq!(valid(&schema, values), [true, true, false, false, false, true]);
}

#[test]
fn items_are_checked_by_their_places_and_by_what_there_is() {
    let schema = json!({"prefixItems": [{"type": "string"}, true], "items": {"type": "integer"}, "minItems": 1, "maxItems": 4});
    let values = [
        json!(["a"]),
        json!(["a", null, 1]),
        json!([]),
        json!([1]),
        json!(["a", 1, "b"]),
        json!(["a", 1, 2, 3, 4]),
    ];
    assert_eq!(valid(&schema, values), [true, true, false, false, false, false]);
    let older = json!({"items": [{"type": "string"}], "additionalItems": false});
    assert_eq!(valid(&older, [json!(["a"]), json!([1]), json!(["a", 1])]), [true, false, false]);
    let contains = json!({"contains": {"type": "string"}, "minContains": 2, "maxContains": 3});
    let values = [json!(["a"]), json!(["a", 1, "b"]), json!(["a", "a", "a", "a"]), json!({})];
    assert_eq!(valid(&contains, values), [false, true, false, true]);
    assert_eq!(valid(&json!({"contains": true}), [json!([]), json!([1])]), [false, true]);
}

#[test]
fn members_are_checked_by_their_names_and_by_what_there_is() {
    let schema = json!({
        "properties": {"a": {"type": "integer"}},
        "patternProperties": {"^x-": {"type": "string"}},
        "additionalProperties": {"type": "boolean"},
        "required": ["a"],
        "maxProperties": 3,
    });
    let values = [
        json!({"a": 1, "x-b": "c", "d": true}),
        json!({"x-b": "c"}),
        json!({"a": "1"}),
        json!({"a": 1, "x-b": 1}),
        json!({"a": 1, "d": 1}),
        json!({"a": 1, "b": true, "c": true, "d": true}),
        json!([]),
    ];
    assert_eq!(valid(&schema, values), [true, false, false, false, false, false, true]);
    let names = json!({"propertyNames": {"maxLength": 2}, "minProperties": 1});
    assert_eq!(valid(&names, [json!({"ab": 1}), json!({"abc": 1}), json!({})]), [true, false, false]);
    let dependent =
        json!({"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"c": {"required": ["d"]}}});
    let older = json!({"dependencies": {"a": ["b"], "c": {"required": ["d"]}}});
    for schema in [dependent, older] {
        let values = [
            json!({"a": 1, "b": 1}),
            json!({"a": 1}),
            json!({"c": 1, "d": 1}),
            json!({"c": 1}),
            json!({"b": 1}),
        ];
        assert_eq!(valid(&schema, values), [true, false, true, false, true], "{schema}");
    }
}

#[test]
fn schemas_are_put_together() {
    let (text, short) = (json!({"type": "string"}), json!({"maxLength": 2}));
    let values = || [json!("a"), json!("abc"), json!(1)];
    assert_eq!(valid(&json!({"allOf": [text, short]}), values()), [true, false, false]);
    assert_eq!(valid(&json!({"anyOf": [text, {"type": "integer"}]}), values()), [true, true, true]);
    assert_eq!(valid(&json!({"oneOf": [text, short]}), values()), [false, true, true]);
    assert_eq!(valid(&json!({"not": text}), values()), [false, false, true]);
    let choice = json!({"if": text, "then": short, "else": {"minimum": 2}});
    assert_eq!(valid(&choice, values()), [true, false, false]);
    assert_eq!(valid(&json!({"if": text, "then": false}), values()), [false, false, true]);
}

#[test]
fn references_lead_to_places_in_the_schema_in_circles_too() {
    let tree = json!({
        "$ref": "#/$defs/a~1%25",
        "$defs": {"a/%": {"type": "object", "additionalProperties": {"$ref": "#"}}},
        "maxProperties": 1,
    });
    let values = [json!({"a": {"b": {}}}), json!({"a": {"b": 1}}), json!({"a": {}, "b": {}})];
    assert_eq!(valid(&tree, values), [true, false, false]);
    // Up to draft 7 what stands beside a reference says nothing.
    let mut older = tree;
    older["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    assert_eq!(valid(&older, [json!({"a": {}, "b": {}})]), [true]);
}

#[test]
fn what_never_ends_is_never_as_the_schema_says() {
    let defs = json!({"a": {"not": {"$ref": "#"}}});
    let endless = [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": defs}),
        json!({"anyOf": [{"$ref": "#/$defs/a"}, true], "$defs": defs}),
    ];
    for schema in endless {
        assert_eq!(valid(&schema, [json!(1)]), [false], "{schema}");
    }
}

/// With `list` among its `$defs`: what doubles with each level of a value.
fn doubling(mut schema: Value) -> Value {
    let deeper = json!({"items": {"$ref": "#/$defs/list"}});
    schema["$defs"] = json!({"list": {"oneOf": [deeper, deeper]}});
    schema
}

/// `[[[…]]]`
fn nested(levels: usize) -> Value {
    (1..levels).fold(json!([]), |within, _| json!([within]))
}

/// Where it was given up.
fn given_up(schema: &Value, value: &Value) -> Option<String> {
    let schema = Schema::new(schema).unwrap();
    let failure = schema.validate(value, &Effort::default()).unwrap_err();
    failure.unfinished.then(|| failure.schema.to_owned())
}

#[test]
fn what_takes_too_long_is_given_up_whatever_is_made_of_it() {
    let list = json!({"$ref": "#/$defs/list"});
    assert_eq!(given_up(&doubling(list.clone()), &nested(4)), None);
    for schema in [list.clone(), json!({"not": list}), json!({"anyOf": [list, true]}), json!({"if": list})] {
        for levels in [60, 127] {
            assert!(given_up(&doubling(schema.clone()), &nested(levels)).is_some(), "{schema}");
        }
    }
    assert!(given_up(&json!({"$ref": "#"}), &json!(1)).is_some());
}

#[test]
fn texts_patterns_names_and_copies_take_their_time() {
    let long = || "x".repeat(60_000);
    let names = |number: usize| (0..number).map(|at| (format!("name-{at:05}"), json!(1))).collect::<Value>();
    for (schema, value) in [
        (json!({"items": {"pattern": "x"}}), json!([long(), long()])),
        (json!({"pattern": "(x+x+)+y|(z+z+)+y"}), json!(long())),
        (json!({"items": {"not": {"enum": [1]}}}), vec![json!(vec![json!([1]); 100]); 300].into()),
        (json!({"uniqueItems": true}), (0..10_000).collect()),
        (json!({"patternProperties": {"^x": true, "^y": true, "^z": true}}), names(4000)),
        (json!({"items": {"not": {"required": vec!["a"; 1000]}}}), vec![json!({}); 200].into()),
    ] {
        assert!(given_up(&schema, &value).is_some(), "{schema}");
    }
    let ordinary = json!({"items": {"pattern": "^[a-z]{1,64}$", "maxLength": 64}, "uniqueItems": true});
    assert_eq!(
        valid(&ordinary, [(0..100).map(|at| "x".repeat(20 + at % 20) + &"y".repeat(1 + at / 20)).collect()]),
        [true]
    );
    let large = json!({"type": "object", "additionalProperties": {"type": "integer", "enum": [1, 2]}});
    assert_eq!(valid(&large, [names(4000)]), [true]);
}

#[test]
fn all_checks_of_a_message_share_what_there_is() {
    let schema = Schema::new(&json!({"items": {"minimum": 0}})).unwrap();
    let (numbers, effort) = (Value::from(vec![1; 40_000]), Effort::default());
    let checked: Vec<bool> = (0..5).map(|_| schema.validate(&numbers, &effort).is_ok()).collect();
    assert_eq!(checked, [true, true, true, false, false]);
}

#[test]
fn what_a_look_decides_is_asked_first() {
    let schema = doubling(json!({"$ref": "#/$defs/list", "const": 1, "type": "integer"}));
    assert_eq!(failure(&schema, &nested(100)), (String::new(), "/type".to_owned()));
    let schema = doubling(json!({"allOf": [{"$ref": "#/$defs/list"}], "const": 1}));
    assert_eq!(failure(&schema, &nested(100)), (String::new(), "/const".to_owned()));
}

#[test]
fn the_first_failure_is_told_by_its_places() {
    let schema = json!({
        "properties": {"list": {"items": {"$ref": "#/$defs/item"}}, "a/b~": {"not": {}}},
        "$defs": {"item": {"required": ["id"]}},
    });
    let place = |instance: &str, schema: &str| (instance.to_owned(), schema.to_owned());
    let list = json!({"list": [{"id": 1}, {}]});
    assert_eq!(failure(&schema, &list), place("/list/1", "/$defs/item/required"));
    assert_eq!(failure(&schema, &json!({"a/b~": 1})), place("/a~1b~0", "/properties/a~1b~0/not"));
    assert_eq!(failure(&json!(false), &json!(1)), place("", ""));
    let any = json!({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]});
    assert_eq!(failure(&any, &json!({})), place("", "/anyOf"));
}

#[test]
fn what_is_no_schema_or_not_understood_is_named() {
    for (schema, complaint) in [
        (json!(1), "a schema is an object, `true` or `false`"),
        (
            json!({"properties": {"a": {"type": "int"}}}),
            "at /properties/a/type: \"int\" is none of null, boolean,",
        ),
        (json!({"properties": []}), "at /properties: it is an object"),
        (json!({"required": "a"}), "at /required: it is an array"),
        (json!({"required": [1]}), "at /required: it is a text"),
        (json!({"minimum": "1"}), "at /minimum: it is a number"),
        (json!({"multipleOf": 0}), "at /multipleOf: it is more than 0"),
        (json!({"maxLength": 1.5}), "at /maxLength: it is a whole number from 0 on"),
        (json!({"uniqueItems": 1}), "at /uniqueItems: it is `true` or `false`"),
        (json!({"exclusiveMaximum": true}), "at /exclusiveMaximum: it is a number"),
        (
            json!({"pattern": "(?=a)"}),
            "at /pattern: \"(?=a)\" is no regular expression that is understood here: ",
        ),
        (
            json!({"patternProperties": {"(": true}}),
            "at /patternProperties/(: \"(\" is no regular expression",
        ),
        (
            json!({"$ref": "https://example.com/s"}),
            "at /$ref: \"https://example.com/s\" is not within this schema",
        ),
        (json!({"$ref": "file:///etc/passwd"}), "at /$ref: \"file:///etc/passwd\" is not within this schema"),
        (json!({"$ref": "#name"}), "at /$ref: \"#name\" is not within this schema"),
        (json!({"$ref": "#/%x"}), "at /$ref: \"#/%x\" is not within this schema"),
        (json!({"$ref": "#/$defs/a"}), "at /$ref: there is nothing at \"#/$defs/a\""),
        (json!({"items": {"$id": "a"}}), "at /items: a schema within a schema cannot have an `$id`"),
        (
            json!({"allOf": [{"unevaluatedProperties": false}]}),
            "at /allOf/0/unevaluatedProperties: this keyword is not understood here",
        ),
        (
            json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
            "at /$schema: it is none of drafts 2020-12, 2019-09, 7 and 6",
        ),
    ] {
        let mistake = mistake(schema.clone());
        assert!(mistake.starts_with(complaint), "{schema}:\n{mistake}\n{complaint}");
    }
}

#[test]
fn keywords_that_nobody_knows_are_told() {
    let schema =
        json!({"title": "t", "x-unit": "C", "properties": {"a": {"requierd": ["b"], "format": "date"}}});
    assert_eq!(Schema::new(&schema).unwrap().unknown, ["/properties/a/requierd"]);
    let known = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "a", "if": true, "then": true});
    assert!(Schema::new(&known).unwrap().unknown.is_empty());
}
