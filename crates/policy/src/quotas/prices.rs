//! What models cost, from a data file: an estimate for people, never a limit.

use serde::Deserialize;

/// The table that ships with the product.
const PRICES_YAML: &str = include_str!("../../../../assets/prices.yaml");

/// US dollars for a million tokens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The model's name, or how it begins.
    pub model: String,
    pub input: f64,
    pub output: f64,
    /// Without it a cached token costs what an input token does.
    #[serde(default)]
    pub cache_read: Option<f64>,
    #[serde(default)]
    pub cache_write: Option<f64>,
    /// The day for which the figures were published.
    pub as_of: String,
}

/// Why a table can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the table of prices can't be read: {0}")]
pub struct PricesError(String);

/// The table, longest name first.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices(Vec<Price>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    prices: Vec<Price>,
}

impl Prices {
    pub fn builtin() -> Result<Prices, PricesError> {
        Prices::parse(PRICES_YAML)
    }

    pub fn parse(text: &str) -> Result<Prices, PricesError> {
        let Table { mut prices } =
            serde_saphyr::from_str(text).map_err(|error| PricesError(error.to_string()))?;
        let wrong = prices.iter().find(|price| {
            let figures = [Some(price.input), Some(price.output), price.cache_read, price.cache_write];
            figures.into_iter().flatten().any(|figure| !(figure.is_finite() && figure >= 0.0))
        });
        if let Some(price) = wrong {
            return Err(PricesError(format!("{} has a figure that is no price", price.model)));
        }
        prices.sort_by_key(|price| std::cmp::Reverse(price.model.len()));
        Ok(Prices(prices))
    }

    /// The price of a model: that of the longest name which it is, or which it begins with up to a dash or the like.
    /// Gateways put their own name before it, up to a slash or a dot (`anthropic/…`, `us.anthropic.…`).
    pub fn of(&self, model: &str) -> Option<&Price> {
        let model = model.to_ascii_lowercase();
        let own = model.rsplit('/').next().unwrap_or(&model);
        let own = own.rsplit_once("anthropic.").map_or(own, |(_, own)| own);
        self.0.iter().find(|price| {
            own.strip_prefix(price.model.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '@', ':']))
        })
    }
}

impl Price {
    /// Millionths of a dollar.
    pub fn micros(&self, input: u64, output: u64, cache_read: u64, cache_write: u64) -> u64 {
        let parts = [
            (input, self.input),
            (output, self.output),
            (cache_read, self.cache_read.unwrap_or(self.input)),
            (cache_write, self.cache_write.unwrap_or(self.input)),
        ];
        // A dollar for a million tokens is a millionth of a dollar for one.
        let micros: f64 = parts.into_iter().map(|(tokens, price)| tokens as f64 * price).sum();
        micros.round() as u64
    }
}
