use super::*;

/// Three periods, 0 to 2: `a` = 10, 20, -; `b` = 5, -, 0.
struct Fixed;

impl Metrics for Fixed {
    type Error = String;

    fn series(&mut self, id: &str) -> Result<Series, String> {
        match id {
            "a" => Ok(series(&[(0, 10.0), (1, 20.0)])),
            "b" => Ok(series(&[(0, 5.0), (2, 0.0)])),
            _ => Err(format!("no {id}")),
        }
    }

    fn periods(&self, _period: Duration) -> Vec<EpochMillis> {
        (0..3).map(EpochMillis).collect()
    }
}

fn series(points: &[(u64, f64)]) -> Series {
    let points = points.iter().map(|(time, value)| (EpochMillis(*time), *value));
    Series { period: Duration::from_secs(60), points: points.collect() }
}

fn value(text: &str) -> Result<Value, String> {
    Expression::parse(text)?.evaluate(&mut Fixed)
}

fn number(text: &str) -> f64 {
    match value(text) {
        Ok(Value::Number(number)) => number,
        other => panic!("{text}: {other:?}"),
    }
}

fn points(text: &str) -> Vec<(u64, f64)> {
    match value(text) {
        Ok(Value::Series(series)) => series.points.into_iter().map(|(time, value)| (time.0, value)).collect(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn arithmetic_binds_as_in_school() {
    assert_eq!(number("1 + 2 * 3 - 4 / 2"), 5.0);
    assert_eq!(number("-(1 - 4) * 2"), 6.0);
    assert_eq!(number("10 - 2 - 3"), 5.0);
    assert_eq!(number("1e3 + .5 + 2E-1"), 1000.7);
    assert_eq!(number("--2"), 2.0);
}

#[test]
fn a_missing_point_of_one_series_counts_as_zero() {
    assert_eq!(points("a + b"), [(0, 15.0), (1, 20.0), (2, 0.0)]);
    assert_eq!(points("a * 2"), [(0, 20.0), (1, 40.0)]);
    assert_eq!(points("100 - a"), [(0, 90.0), (1, 80.0)]);
}

#[test]
fn a_point_divided_by_zero_is_dropped() {
    assert_eq!(points("a / b"), [(0, 2.0)]);
    assert_eq!(points("1 / b"), [(0, 0.2)]);
}

#[test]
fn a_list_folds_point_by_point_and_a_series_to_a_number() {
    assert_eq!(points("MAX([a, b])"), [(0, 10.0), (1, 20.0), (2, 0.0)]);
    assert_eq!(points("MIN([a, b])"), [(0, 5.0), (1, 20.0), (2, 0.0)]);
    assert_eq!(points("SUM([a, b])"), [(0, 15.0), (1, 20.0), (2, 0.0)]);
    assert_eq!(points("AVG([a, b])"), [(0, 7.5), (1, 10.0), (2, 0.0)]);
    assert_eq!(number("MAX(a) + SUM(a) + AVG(a) + MIN(a)"), 75.0);
    assert_eq!(points("MAX([a / 10, b / PERIOD(b)])"), [(0, 1.0), (1, 2.0), (2, 0.0)]);
}

#[test]
fn fill_gives_every_period_a_point() {
    assert_eq!(points("FILL(a, 0)"), [(0, 10.0), (1, 20.0), (2, 0.0)]);
    assert_eq!(points("FILL(b, 2 * 3)"), [(0, 5.0), (1, 6.0), (2, 0.0)]);
}

#[test]
fn conditions_choose() {
    assert_eq!(points("a > 10"), [(0, 0.0), (1, 1.0)]);
    assert_eq!(points("IF(a > 10 AND FILL(b, 0) < 1, a / 2, 0)"), [(0, 0.0), (1, 10.0), (2, 0.0)]);
    assert_eq!(points("IF(a >= 10, b)"), [(0, 5.0)]);
    assert_eq!(points("IF(a == 10 || a != 20, 1, 2)"), [(0, 1.0), (1, 2.0)]);
    assert_eq!(number("1 <= 1 AND 2 > 3 OR 1 == 1"), 1.0);
}

#[test]
fn what_is_wrong_is_said() {
    for (text, expected) in [
        ("a +", "ends where an operand"),
        ("a b", "follows a whole expression"),
        ("(a", "\")\" is wanted"),
        ("RATE(a)", "function RATE is not offered"),
        ("a ? b", "'?' means nothing"),
        ("1.2.3", "is not a number"),
        ("[a, b] * 2", "only in AVG, MAX, MIN and SUM"),
        ("MAX([a, 1])", "series only"),
        ("FILL(a, b)", "does not take these arguments"),
        ("c", "no c"),
        ("MAX(a, b)", "does not take these arguments"),
        ("2 ^ 3", "follows a whole expression"),
    ] {
        let error = value(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn length_and_depth_are_bounded() {
    assert!(Expression::parse(&"1+".repeat(2000)).is_err_and(|error| error.contains("4000 bytes")));
    let nested = format!("{}1{}", "(".repeat(40), ")".repeat(40));
    assert!(Expression::parse(&nested).is_err_and(|error| error.contains("deeper")));
    let list = format!("{}a{}", "[".repeat(40), "]".repeat(40));
    assert!(Expression::parse(&list).is_err_and(|error| error.contains("deeper")));
    assert!(Expression::parse(&format!("{}1", "-".repeat(2000))).is_ok());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[ab01 .e+*/(),<>=&|\\-\\[\\]A-Z]{0,60}") {
        let _outcome = value(&text);
    }
}
