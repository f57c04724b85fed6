//! Ready schemas under the names that Confluent's connector gives to its own.

const QUICKSTARTS: &[(&str, &str, &str)] = &[
    ("users", include_str!("users.avsc"), "userid"),
    ("pageviews", include_str!("pageviews.avsc"), "viewtime"),
    ("orders", include_str!("orders.avsc"), "orderid"),
    ("ratings", include_str!("ratings.avsc"), "rating_id"),
    ("stock_trades", include_str!("stock_trades.avsc"), "symbol"),
];

/// Schema and key field of a quickstart, whatever the case of its name.
pub fn find(name: &str) -> Option<(&'static str, &'static str)> {
    QUICKSTARTS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name)).map(|(_, schema, key)| (*schema, *key))
}

/// All names.
pub fn names() -> Vec<&'static str> {
    QUICKSTARTS.iter().map(|(name, ..)| *name).collect()
}
